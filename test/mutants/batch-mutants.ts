/** Breaks of how a batch is taken, folded, written and ended (protocol §3 and §4). */
import { inFile, type Mutant } from "./mutant.ts";

export const batchMutants: readonly Mutant[] = [
  {
    name: "no-applied-mark",
    breaks: "an event is folded whatever the key's applied mark says",
    rule: "An event with `position <= applied[s]` is skipped.",
    world: "ports",
    edits: [
      inFile(
        "shared/batch/key-fold.ts",
        "return this.#appliedTo !== BEGINNING && this.#scope.batch.positionAt(index) <= this.#appliedTo;",
        "return index < 0;",
      ),
    ],
  },
  {
    name: "one-applied-mark-for-all-splits",
    breaks: "a key keeps one applied mark, not one for each split",
    rule: "`applied[s]` is the last event of split `s` folded into `state`.",
    world: "ports",
    edits: [
      inFile(
        "shared/batch/key-fold.ts",
        "(marks !== undefined && Object.hasOwn(marks, scope.split) && marks[scope.split]) || BEGINNING",
        "marks?.all || BEGINNING",
      ),
      inFile("shared/batch/key-fold.ts", "[scope.split]: this.#mark", "all: this.#mark"),
    ],
  },
  {
    name: "ended-for-good",
    breaks: "a split that had ended is taken for ended though batches went on with it",
    rule: "A Begin takes `ended` back",
    world: "suite",
    // Nothing of the promise depends on it: a manifest says what is not so.
    suite: "test/protocol/births.test.ts",
    edits: [inFile("shared/control/begin.ts", '  remove: [path("ended")],\n};', "};")],
  },
  {
    name: "equal-state-is-not-written",
    breaks: "a key whose state came out equal is not written, so that its mark lies",
    rule: "A key with a folded event is written even when its state came out equal, or `applied` lies.",
    world: "suite",
    // A history's state is the list of its events: no event leaves it equal.
    suite: "test/protocol/deliveries.test.ts",
    edits: [
      inFile(
        "shared/batch/write-states.ts",
        "allFolds.filter(({ last }) => last >= 0);",
        "allFolds.filter((fold) => fold.last >= 0 && JSON.stringify(fold.toItem('').state) !== JSON.stringify(fold.base?.state));",
      ),
    ],
  },
  {
    name: "counted-versions",
    breaks: "a state item's version is a counter instead of a new token",
    rule: "`v` is an opaque token, new and unique with every write (◆ a counter is not enough: tombstones)",
    world: "ports",
    edits: [
      inFile(
        "shared/batch/write-states.ts",
        "const item = fold.toItem(scope.newVersion());",
        "const item = fold.toItem(String((Number.parseInt(fold.base?.v ?? '', 10) || 0) + 1));",
      ),
    ],
  },
  {
    name: "unconditional-state-write",
    breaks: "a state is written over whatever is there",
    rule: "every write is conditional on the `v` it was computed from, or on the item not existing",
    world: "ports",
    edits: [
      inFile(
        "shared/batch/write-states.ts",
        "return { item, written: scope.state.write(scope.definition.name, item, fold.base?.v) };",
        `const place = { function: scope.definition.name, generation: scope.generation };
  const there = Promise.resolve(scope.state.load(place, [fold.key])).then((items) => items.get(fold.key)?.v);
  return { item, written: there.then((v) => scope.state.write(scope.definition.name, item, v)) };`,
      ),
    ],
  },
  {
    name: "no-dual-fold",
    breaks: "an event before the cut is not folded into the before-image of an item that is past the cut",
    rule: "fold the event into `before` (if it is still there) AND into `state`",
    world: "ports",
    edits: [
      inFile(
        "shared/batch/key-fold.ts",
        "this.#dual = this.#epoch > scope.epoch && this.#before !== undefined;",
        "this.#dual = false;",
      ),
    ],
  },
  {
    name: "before-image-overwritten",
    breaks: "every write in an epoch makes a before-image, not the first one alone",
    rule: "`before` is the image before this item's first write in `epoch`.",
    world: "ports",
    edits: [
      inFile(
        "shared/batch/key-fold.ts",
        "entersEpoch ? (base?.state ?? ABSENT) : base.before;",
        "(base?.state ?? ABSENT);",
      ),
    ],
  },
  {
    name: "before-image-dropped-early",
    breaks: "the before-image is left out while its checkpoint is still open",
    rule: "once `e` is resolved (completed or aborted; the split item's `resolved` tells) the next write drops it",
    world: "ports",
    edits: [
      inFile(
        "shared/batch/key-fold.ts",
        "if (scope.resolved >= this.#epoch) return;",
        "if (scope.resolved >= this.#epoch - 1) return;",
      ),
    ],
  },
  {
    name: "absent-confused-with-none",
    breaks: "a key that did not exist before the cut gets no before-image",
    rule: '`ABSENT` (the key did not exist) and "no `before`" are two different things.',
    world: "ports",
    edits: [inFile("shared/batch/key-fold.ts", "entersEpoch ? (base?.state ?? ABSENT)", "entersEpoch ? base?.state")],
  },
  {
    name: "image-at-or-before-the-epoch",
    breaks: "the state of an item that was written in epoch n is taken for its image at cut n",
    rule: "The image at cut `n`: `state` if `epoch < n`; `before` if `epoch = n`; else the checkpoint fails",
    world: "ports",
    edits: [
      inFile(
        "shared/state/state-item.ts",
        "if (item.epoch < n) return item.state;",
        "if (item.epoch <= n) return item.state;",
      ),
    ],
  },
  {
    name: "newer-state-counts-a-try",
    breaks: "code that meets a newer state takes it for a failure of the record",
    rule: "Code that meets a newer version than it knows fails the batch, writes nothing, counts no try.",
    world: "ports",
    edits: [inFile("shared/batch/fold-batch.ts", "if (isForeignState(thrown)) throw thrown;", "")],
  },
  {
    name: "cache-across-generations",
    breaks: "a worker keeps its cached items when a restore has made another generation live",
    rule: "a worker may use its own cache, keyed by generation, since a stale `v` fails the write",
    world: "ports",
    edits: [inFile("shared/batch/state-cache.ts", "    this.#items.clear();\n", "")],
  },
  {
    name: "position-goes-back",
    breaks: "an End that resolves nothing puts the split back to its beginning",
    rule: "It never goes back within a generation ◆.",
    world: "ports",
    edits: [
      inFile(
        "shared/batch/resolve-batch.ts",
        "last === undefined ? split.position : laterOf(split.position, last.position);",
        'last?.position ?? "";',
      ),
    ],
  },
  {
    name: "always-clean",
    breaks: "a split counts as clean though something of it was tried and not resolved",
    rule: "The split is **clean** iff `position >= attemptedTo`; nothing else counts ◆.",
    world: "ports",
    edits: [
      inFile(
        "shared/control/split.ts",
        "return split.position >= split.attemptedTo;",
        "return split.attemptedTo !== undefined;",
      ),
    ],
  },
  {
    name: "begin-during-restore",
    breaks: "Begin looks at neither phase nor target",
    rule: "condition: phase RUNNING (for the replayer: REPLAYING and its target generation), checked in this very write ◆.",
    world: "ports",
    edits: [
      inFile("shared/control/begin.ts", '  compare("phase", "=", role.phase),\n', ""),
      inFile(
        "shared/control/begin.ts",
        '...(role.phase === "REPLAYING" ? [compare("gen", "=", role.generation)] : []),',
        "",
      ),
    ],
  },
  {
    name: "attempted-to-stays",
    breaks: "Begin does not write down how far the batch will try",
    rule: "`attemptedTo = max(attemptedTo, last of the batch)`",
    world: "ports",
    edits: [inFile("shared/control/begin.ts", 'set: [[path("attemptedTo"), value(step.last)]],', "set: [],")],
  },
  {
    name: "tried-tail-forgotten",
    breaks: "what was tried and then given up by the source is passed without a hole",
    rule: "the same write sets `holes += (position, attemptedTo]`, `position = attemptedTo` ◆.",
    world: "suite",
    suite: "test/protocol/deliveries.test.ts",
    edits: [
      inFile(
        "shared/control/begin.ts",
        'anyOf(compareAttributes("position", ">=", "attemptedTo"), compare("attemptedTo", ">=", step.first)),',
        "",
      ),
    ],
  },
  {
    name: "expiry-unseen",
    breaks: "records that expired before anybody saw them leave no hole",
    rule: "the same write adds a hole `(position, first)` of unknown size, with an alarm ◆.",
    world: "ports",
    edits: [
      inFile(
        "shared/control/begin.ts",
        '[anyOf(compare("freshAt", ">=", oldestSafe), compare("position", ">=", step.first))]',
        "[]",
      ),
    ],
  },
  {
    name: "born-fresh",
    breaks: "a handler births a split as if nothing of it had been there before",
    rule: "◆ At its beginning (born, or flipped there) a split is fresh since the arrival of the first record that is there",
    world: "suite",
    suite: "test/protocol/expiry.test.ts",
    edits: [inFile("shared/control/begin.ts", "Math.max(oldestSafe, firstArrivalTimeMs)", "nowMs")],
  },
  {
    name: "born-without-a-look",
    breaks: "a coordinator or a restorer births a split as if the source held nothing of it",
    rule: "a handler takes it from its batch, coordinator and restorer look.",
    world: "suite",
    suite: "test/protocol/expiry.test.ts",
    edits: [
      inFile(
        "shared/checkpoint/look-at-split.ts",
        "return holdsRecords ? firstArrivalTimeMs : nowMs;",
        "return holdsRecords ? Math.max(firstArrivalTimeMs, nowMs) : nowMs;",
      ),
    ],
  },
  {
    name: "fresh-after-a-hole",
    breaks: "a Begin that notes a hole takes all that is there for seen",
    rule: "◆ For the same reason a Begin that notes a hole makes the split fresh since its own first record, not since now",
    world: "suite",
    suite: "test/protocol/expiry.test.ts",
    edits: [
      inFile(
        "shared/control/begin.ts",
        "mayHaveExpired ? freshAtMs : read.freshAt",
        "mayHaveExpired ? step.nowMs : read.freshAt",
      ),
    ],
  },
  {
    name: "left-replaying",
    breaks: "a split that was born while a restore ended is refused for ever",
    rule: "it sets the split RUNNING and begins again ◆ (a split born while a restore ended).",
    world: "suite",
    suite: "test/protocol/births.test.ts",
    edits: [inFile("shared/control/begin.ts", "if (await leftReplaying(store, step, split)) continue;", "")],
  },
  {
    name: "control-read-before-the-birth",
    breaks: "a birth reads control before its unborn item is there",
    rule: "◆ only after that put was *answered* (created, or exists; a time-out is put again) read control (strong)",
    world: "ports",
    edits: [
      inFile(
        "shared/control/split-steps.ts",
        '  await store.update(key, { conditions: [missing("attempt")], set: [assign("attempt", 0), ...name] });\n  const control = await ensureControl(store, settings.mode);',
        '  const control = await ensureControl(store, settings.mode);\n  await store.update(key, { conditions: [missing("attempt")], set: [assign("attempt", 0), ...name] });',
      ),
    ],
  },
  {
    name: "born-without-a-barrier",
    breaks: "a split is born into an epoch without the barrier of it",
    rule: "to what control says and `barriers[epoch] = start` ◆, in one write",
    world: "ports",
    edits: [
      inFile(
        "shared/control/split-steps.ts",
        'assign("barriers", { [control.epoch]: BEGINNING }),',
        'assign("barriers", {}),',
      ),
    ],
  },
  {
    name: "born-running",
    breaks: "a split is born RUNNING, whatever phase control is in",
    rule: "reads control AFTER it saw the item unborn, and births it into exactly that ◆.",
    world: "suite",
    suite: "test/protocol/births.test.ts",
    edits: [inFile("shared/control/split-steps.ts", 'assign("phase", control.phase),', 'assign("phase", "RUNNING"),')],
  },
  {
    name: "born-an-epoch-early",
    breaks: "a split is born into the epoch before control's",
    rule: "set `epoch`, generation and phase to what control says",
    world: "ports",
    edits: [
      inFile(
        "shared/control/split-steps.ts",
        'assign("epoch", control.epoch),',
        'assign("epoch", Math.max(0, control.epoch - 1)),',
      ),
    ],
  },
  {
    name: "barrier-unfenced",
    breaks: "a batch that was overtaken still passes the barrier",
    rule: "write, conditional on its attempt, generation and `epoch < n` ◆",
    world: "ports",
    edits: [
      inFile(
        "shared/control/split-steps.ts",
        'compare("attempt", "=", step.attempt),\n      compare("gen", "=", step.generation),\n      compare("epoch", "<", step.n),',
        'exists("epoch"),',
      ),
    ],
  },
  {
    name: "barrier-after-processing",
    breaks: "the batch folds and writes in the old epoch, and passes the barrier afterwards",
    rule: "Only then process.",
    world: "ports",
    edits: [
      inFile(
        "shared/batch/process-batch.ts",
        "const epoch = await this.#passBarrier(begun);",
        "const { epoch } = begun.split;",
      ),
      inFile(
        "shared/batch/process-batch.ts",
        "const cacheHits = items.fromCache.size;",
        "const cacheHits = items.fromCache.size;\n    await this.#passBarrier(begun);",
      ),
    ],
  },
  {
    name: "barrier-by-an-unclean-batch",
    breaks: "a batch that redelivers what was tried passes the barrier",
    rule: "A batch that redelivers an attempted range is processed in the OLD epoch: events keep their colour.",
    world: "ports",
    edits: [
      inFile(
        "shared/batch/process-batch.ts",
        "if (n <= split.epoch || !clean) return split.epoch;",
        "if (n <= split.epoch) return split.epoch;",
      ),
    ],
  },
  {
    name: "resolved-records-folded-again",
    breaks: "records at or before the split's position are folded once more",
    rule: "Drop records at or before `position`.",
    world: "ports",
    edits: [
      inFile(
        "shared/batch/process-batch.ts",
        "const fresh = this.#recordsAfter(begun.split.position);",
        "const fresh = this.#request.records;",
      ),
    ],
  },
  {
    name: "end-unfenced",
    breaks: "a batch that was overtaken, or restored away, still writes its End",
    rule: "**End**: one UpdateItem, conditional on attempt ◆, generation and phase",
    world: "ports",
    edits: [
      inFile(
        "shared/control/split-steps.ts",
        'compare("attempt", "=", owner.attempt),\n    compare("gen", "=", owner.generation),\n    compare("phase", "=", owner.phase),',
        'exists("epoch"),',
      ),
    ],
  },
  {
    name: "attempted-to-lowered-too-far",
    breaks: "an End after an error forgets what other keys' writes carried",
    rule: "`attemptedTo = max(new position, attemptedTo before my Begin, highest record I tried to write)`",
    world: "ports",
    edits: [
      inFile(
        "shared/batch/resolve-batch.ts",
        "attemptedTo: laterOf(position, laterOf(split.attemptedTo, outcome.triedTo)),",
        "attemptedTo: position,",
      ),
    ],
  },
  {
    name: "poison-blocks-the-barrier",
    breaks: "an End after an error leaves the split unclean up to the end of the batch",
    rule: "so that a poison record never blocks a barrier ◆.",
    world: "suite",
    suite: "test/protocol/poison.test.ts",
    edits: [
      inFile(
        "shared/batch/resolve-batch.ts",
        "attemptedTo: laterOf(position, laterOf(split.attemptedTo, outcome.triedTo)),",
        'attemptedTo: laterOf(position, laterOf(split.attemptedTo, records.at(-1)?.position ?? "")),',
      ),
    ],
  },
  {
    name: "given-up-without-a-hole",
    breaks: "a record that was given up is skipped and not noted",
    rule: "it is skipped and noted before any `applied` mark is looked at",
    world: "ports",
    edits: [
      inFile(
        "shared/batch/prepare.ts",
        'return passOver(scope, batch, { kind: "given-up", record });',
        'return batch.addNoEvent({ kind: "dropped", record });',
      ),
    ],
  },
  {
    name: "dead-letter-tried-on",
    breaks: "a record whose tries are used up is tried for ever",
    rule: "(◆ it is skipped and noted before any `applied` mark is looked at",
    world: "ports",
    edits: [
      inFile(
        "shared/batch/process-batch.ts",
        "(failing.final === true || failing.tries >= triesMax) ? failing : undefined;",
        "(failing.final === true || failing.tries < 0 * triesMax) ? failing : undefined;",
      ),
    ],
  },
  {
    name: "dead-letter-not-stored",
    breaks: "a record becomes a hole without a letter",
    rule: "the record is put into dead-letter storage, becomes a hole in the same End that passes it",
    world: "suite",
    suite: "test/protocol/poison.test.ts",
    edits: [inFile("shared/batch/fold-batch.ts", "await writeDeadLetter(resources.storage, letter);", "true;")],
  },
  {
    name: "overtaken-counts-a-try",
    breaks: "an attempt that was overtaken in the user's code may not say that it lives",
    rule: "◆ It takes back its own mark whoever has the split by now: an attempt that was overtaken did not die.",
    world: "suite",
    suite: "test/protocol/poison.test.ts",
    edits: [
      inFile(
        "shared/control/split-steps.ts",
        "conditions: [{ exists: mark }],",
        'conditions: [{ exists: mark }, compare("attempt", "=", attempt)],',
      ),
    ],
  },
  {
    name: "killing-batch-not-halved",
    breaks: "a batch whose invocations die is taken whole again and again",
    rule: "A batch whose invocations die without an End is halved at each Begin",
    world: "ports",
    edits: [
      inFile("shared/batch/batch-size.ts", "records >> Math.min(beginsSinceEnd, 30)", "records + 0 * beginsSinceEnd"),
    ],
  },
  {
    name: "record-folded-in-part",
    breaks: "a throw at an event leaves the events of its record before it folded",
    rule: "a throw, a refusal or a lack of time at any of them is one at its first.",
    world: "suite",
    suite: "test/protocol/several-events.test.ts",
    edits: [
      inFile("shared/batch/write-states.ts", "return { index: batch.firstOf(at), at,", "return { index: at, at,"),
    ],
  },
  {
    name: "given-up-unmarked",
    breaks: "a record of several keys is given up without a mark in any of them",
    rule: "◆ each of its keys that has not got it is marked first, over the very item that was read",
    world: "suite",
    suite: "test/protocol/several-events.test.ts",
    edits: [
      inFile(
        "shared/batch/prepare.ts",
        "return entry.record.position > partlyTo ?",
        "return entry.record.position > BEGINNING ?",
      ),
    ],
  },
  {
    name: "mark-of-a-folded-record",
    breaks: "what is given up is marked as what is folded",
    rule: "tells by the mark what was folded from what was not.",
    world: "suite",
    suite: "test/protocol/several-events.test.ts",
    edits: [inFile("shared/state/state-item.ts", 'const GIVEN_UP = "!";', 'const GIVEN_UP = "";')],
  },
  {
    name: "batch-goes-on-behind-marks",
    breaks: "a batch goes on behind a record whose keys it marks",
    rule: "◆ It is the last record of its batch",
    world: "suite",
    suite: "test/protocol/several-events.test.ts",
    edits: [inFile("shared/batch/prepare.ts", "  batch.isCutShort = true;\n", "")],
  },
  {
    name: "hole-of-the-whole-record",
    breaks: "a hole does not say what of its record is folded all the same",
    rule: "◆ What is folded all the same stands in the hole",
    world: "suite",
    suite: "test/protocol/several-events.test.ts",
    edits: [
      inFile(
        "shared/batch/resolve-batch.ts",
        "deadLetterHole(record.position, folded)",
        "deadLetterHole(record.position, folded?.slice(0, 0))",
      ),
    ],
  },
  {
    name: "redriven-as-a-whole",
    breaks: "a redriven letter folds what of its record is folded already",
    rule: "A redriven letter",
    world: "suite",
    suite: "test/protocol/several-events.test.ts",
    edits: [
      inFile(
        "shared/dead-letter/redrive.ts",
        "const folded = [...(hole.folded ?? []), ...earlier];",
        "const folded = [...earlier];",
      ),
    ],
  },
  {
    name: "earlier-entry-forgotten",
    breaks: "a redriven letter folds what an earlier entry of it has folded",
    rule: "less those that an earlier entry of it, given up in its turn, has in its own hole",
    world: "suite",
    suite: "test/protocol/several-events.test.ts",
    edits: [
      inFile(
        "shared/dead-letter/redrive.ts",
        "const folded = [...(hole.folded ?? []), ...earlier];",
        "const folded = [...(hole.folded ?? [])];",
      ),
    ],
  },
];
