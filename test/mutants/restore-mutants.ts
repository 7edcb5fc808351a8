/** Breaks of how a checkpoint is restored and replayed, and of putting dead letters back (protocol §6). */
import { inFile, type Mutant } from "./mutant.ts";

export const restoreMutants: readonly Mutant[] = [
  {
    name: "abort-without-a-marker",
    breaks: "a restore writes that the open checkpoint is aborted, and nothing at its address",
    rule: "If a checkpoint is in flight, abort it by the marker and write its status ◆.",
    world: "ports",
    edits: [
      inFile(
        "shared/checkpoint/outcome.ts",
        "const outcome = await decideOutcome(resources, checkpoint, {",
        'const outcome: Outcome = { status: "ABORTED", reason };\n  void ({',
      ),
    ],
  },
  {
    name: "late-restore-record",
    breaks: "a restore is recorded over one that was recorded since control was read",
    rule: "on the `maxGen` that was read ◆: `phase = REPLAYING`",
    world: "suite",
    suite: "test/protocol/restores.test.ts",
    edits: [inFile("shared/control/control-steps.ts", 'compare("maxGen", "=", step.maxGenRead),', "")],
  },
  {
    name: "target-used-twice",
    breaks: "a restore that takes another one's place fills the same generation",
    rule: "`restore` = a new token and its plan: fresh for every attempt, reruns too ◆.",
    world: "suite",
    suite: "test/protocol/restores.test.ts",
    edits: [
      inFile(
        "shared/restore/restore.ts",
        "target: await nextGeneration(resources, control),",
        'target: control.phase === "REPLAYING" ? control.maxGen : await nextGeneration(resources, control),',
      ),
      inFile(
        "shared/control/control-steps.ts",
        'invariant(step.plan.target > step.maxGenRead, "a restore\'s generation is new");',
        "",
      ),
    ],
  },
  {
    name: "recorded-without-a-pin",
    breaks: "a restore is recorded though its pin is gone",
    rule: "on the pin being there, and on the `maxGen` that was read",
    world: "suite",
    suite: "test/protocol/restores.test.ts",
    edits: [inFile("shared/control/control-steps.ts", '{ exists: path("pins", step.plan.token) },', "")],
  },
  {
    name: "pinned-again-unread",
    breaks: "a restore whose pin is gone pins its checkpoint again without a look at it",
    rule: "◆ A restore whose pin is gone pins its checkpoint again, and reads its manifest again",
    world: "suite",
    suite: "test/protocol/restores.test.ts",
    edits: [
      inFile(
        "shared/restore/restore.ts",
        "await pinCheckpoint(store, token, checkpoint);\n      await readManifest(storage, { app: app.name, n: checkpoint });",
        "await pinCheckpoint(store, token, checkpoint);",
      ),
    ],
  },
  {
    name: "refused-request-recorded",
    breaks: "a restore that was asked for is recorded though a check has refused it",
    rule: "◆ only while `requested` is still that token, and no check has refused it",
    world: "suite",
    suite: "test/protocol/requested-restores.test.ts",
    edits: [inFile("shared/control/control-steps.ts", '{ missing: path("requested", "refused") },', "")],
  },
  {
    name: "flipped-as-fresh-as-it-stood",
    breaks: "a split that is put back to its beginning counts as fresh as it was where it stood",
    rule: "◆ Flipped to its beginning it is no fresher than it was when it last stood there (`beginningFreshAt`)",
    world: "suite",
    suite: "test/protocol/expiry.test.ts",
    edits: [inFile("shared/restore/flip-splits.ts", "item.beginningFreshAt ?? 0", "item.freshAt")],
  },
  {
    name: "beginning-fresh-at-birth-only",
    breaks: "a look at a split that stands at its beginning does not say that nothing has come",
    rule: "at its birth, and a look that finds nothing there moves it on",
    world: "suite",
    suite: "test/protocol/expiry.test.ts",
    edits: [inFile("shared/control/split-steps.ts", "read.position === BEGINNING && holes === undefined", "false")],
  },
  {
    name: "load-overwrites",
    breaks: "a load writes over what is in the generation already",
    rule: "Load every part into generation `target` with PutItem `attribute_not_exists` ◆",
    world: "suite",
    suite: "test/protocol/restores.test.ts",
    edits: [
      inFile(
        "shared/restore/load.ts",
        "(await state.write(name, first, undefined))) return;",
        "(await state.write(name, first, (await state.load({ function: name, generation: plan.target }, [first.key])).get(first.key)?.v))) return;",
      ),
    ],
  },
  {
    name: "another-reading-believed",
    breaks: "a load takes what another attempt has put into the generation for what its own part holds",
    rule: "◆ What a load finds there already it compares with what it reads itself",
    world: "suite",
    suite: "test/protocol/restores.test.ts",
    edits: [inFile("shared/restore/load.ts", "if (live < plan.target) throw damagedLoad(plan);", "void live;")],
  },
  {
    name: "applied-restored",
    breaks: "a restored item keeps the applied marks that its state had when it was scanned",
    rule: "items carry no `applied` ◆ and no `before`, stamp 0.",
    world: "ports",
    edits: [
      inFile(
        "shared/checkpoint/snapshot-slice.ts",
        "stateVersion: image.version })",
        "stateVersion: image.version, applied: item.applied } as never)",
      ),
      inFile(
        "shared/checkpoint/part-file.ts",
        "key: { S: item.key },",
        "key: { S: item.key },\n    applied: { S: JSON.stringify((item as never as { applied: unknown }).applied) },",
      ),
      inFile(
        "shared/checkpoint/part-file.ts",
        "return { key: key.S, state: fromAttribute(state, marks), stateVersion: Number(stateVersion.N) };",
        "return { key: key.S, state: fromAttribute(state, marks), stateVersion: Number(stateVersion.N), applied: JSON.parse(Item.applied?.S ?? '{}') } as never;",
      ),
      inFile("shared/restore/load.ts", "applied: {},", "applied: (image as never as { applied: never }).applied,"),
    ],
  },
  {
    name: "no-births-before-the-flip",
    breaks: "splits of the manifest that have no item yet are left unborn until their first event",
    rule: "◆ Before the flip every split of the manifest that has no item yet is born, by the rule of §4.",
    world: "suite",
    suite: "test/protocol/births.test.ts",
    edits: [
      inFile(
        "shared/restore/hold-splits.ts",
        "[...restored.splits.keys()].map((split) => ({ function: name, split }));",
        "[];",
      ),
      inFile("shared/restore/hold-splits.ts", "if (!restored.splits.has(split)) places", "places"),
    ],
  },
  {
    name: "spoiled-generation-goes-live",
    breaks: "a part that was altered under the load is not noted, and loading goes on",
    rule: "◆ A part that turns out altered while it is loaded spoils generation `target`",
    world: "suite",
    suite: "test/unit/restore/pre-flight.test.ts",
    edits: [inFile("shared/restore/load.ts", "await noteDamage(control, target);", 'return "done";')],
  },
  {
    name: "flipped-twice",
    breaks: "a stalled carrier puts a split that runs again back to the cut",
    rule: "flip each split, only if its `gen < target`, in one write ◆",
    world: "ports",
    edits: [
      inFile(
        "shared/control/split-steps.ts",
        'conditions: [exists("epoch"), compare("gen", "<", step.target), until],',
        'conditions: [exists("epoch"), until],',
      ),
    ],
  },
  {
    name: "until-forgotten",
    breaks: "a restored split replays nothing of what had been tried after the cut",
    rule: "`until = max(until, attemptedTo)` of before",
    world: "ports",
    edits: [
      inFile(
        "shared/control/split-steps.ts",
        '[path("until"), right],',
        '[path("until"), value(right === undefined ? "" : step.position)],',
      ),
    ],
  },
  {
    name: "carried-on-by-older-code",
    breaks: "code from before a function was renamed carries on the restore that takes over its state",
    rule: "◆ A carrier whose code does not have every function that the plan names carries nothing on.",
    world: "ports",
    edits: [inFile("shared/restore/carry-on.ts", "  refuseForeign(plan, resources.app);\n", "  void refuseForeign;\n")],
  },
  {
    name: "former-name-forgotten",
    breaks: "a renamed function does not replay as far as its old name had tried",
    rule: "with `until` at least what the old name had tried",
    world: "ports",
    edits: [
      inFile(
        "shared/restore/hold-splits.ts",
        'await raiseUntil(control, successor, { target, until: laterOf(held.attemptedTo, held.until ?? "") });',
        "",
      ),
    ],
  },
  {
    name: "flip-keeps-the-position",
    breaks: "a restored split stands where the generation before had come to",
    rule: "`gen = target`, `position = attemptedTo = B(n,s)`",
    world: "ports",
    edits: [
      inFile(
        "shared/control/split-steps.ts",
        'assign("position", step.position),\n        assign("attemptedTo", step.position),',
        "",
      ),
    ],
  },
  {
    name: "flipped-running",
    breaks: "a flipped split runs at once, without its replay",
    rule: "(Begin requires `gen = target` and REPLAYING)",
    world: "ports",
    edits: [
      inFile(
        "shared/control/split-steps.ts",
        'assign("gen", step.target),\n        assign("phase", "REPLAYING"),',
        'assign("gen", step.target),\n        assign("phase", "RUNNING"),',
      ),
    ],
  },
  {
    name: "replay-past-until",
    breaks: "a replay goes on past `until`",
    rule: "Replay `(B(n,s), until[s]]` of each split by the event functions themselves",
    world: "suite",
    suite: "test/protocol/restores.test.ts",
    edits: [
      inFile(
        "shared/batch/replay-split.ts",
        "record.position > position && (until === undefined || record.position <= until),",
        "record.position > position,",
      ),
    ],
  },
  {
    name: "replay-stops-short",
    breaks: "a split runs before it has come to `until`",
    rule: "A split becomes RUNNING when `position >= until`",
    world: "ports",
    edits: [
      inFile(
        "shared/control/split-steps.ts",
        'anyOf(missing("until"), compareAttributes("position", ">=", "until")),',
        "",
      ),
      inFile(
        "shared/restore/replay-split.ts",
        "(item.until === undefined || item.position >= item.until)) {",
        '(item.until === undefined || item.position >= "")) {',
      ),
    ],
  },
  {
    name: "superseded-restore-ends",
    breaks: "a restore that was superseded sets control RUNNING all the same",
    rule: "only if it is REPLAYING and `gen = target = maxGen` ◆",
    world: "suite",
    suite: "test/protocol/restores.test.ts",
    edits: [
      inFile(
        "shared/control/control-steps.ts",
        'compare("phase", "=", "REPLAYING"),\n      compare("gen", "=", step.target),\n      compare("maxGen", "=", step.target),',
        "",
      ),
    ],
  },
  {
    name: "children-before-parents",
    breaks: "a split is replayed beside its parents",
    rule: "parents before children",
    world: "suite",
    suite: "test/unit/restore/restore-races.test.ts",
    edits: [
      inFile(
        "shared/restore/replay-splits.ts",
        ": !(parents.get(place.split) ?? []).some((parent) => waiting.has(parent)),",
        ": waiting.size > 0 || parents.size > 0,",
      ),
    ],
  },
  {
    name: "lost-tail-replayed-for-ever",
    breaks: "a replay of records that the source has dropped never ends",
    rule: "If the source holds nothing of `(position, until]` any more, the replay could never end: the range becomes a hole",
    world: "ports",
    edits: [inFile("shared/batch/replay-split.ts", 'pass.outcome === "nothing left" &&', "pass.records < 0 &&")],
  },
  {
    name: "redriven-though-folded",
    breaks: "a dead letter is folded though its record was tried afresh with success",
    rule: "It is folded only while its record is a hole of the split it came from",
    world: "suite",
    suite: "test/protocol/redrive.test.ts",
    edits: [
      inFile(
        "shared/dead-letter/redrive.ts",
        "if (hole === undefined) return undefined;",
        'if (hole === undefined) return { cause: "dead-letter" };',
      ),
    ],
  },
  {
    name: "redriven-twice",
    breaks: "every entry of a letter is folded, not the one that the letter names",
    rule: "only as the one entry that its letter names",
    world: "suite",
    suite: "test/protocol/redrive.test.ts",
    edits: [
      inFile(
        "shared/dead-letter/dead-letter.ts",
        "if (earlier !== undefined && !(earlier < entry && (await wasGivenUp(earlier)))) return earlier;",
        "if (earlier !== undefined && earlier > entry) await wasGivenUp(earlier);",
      ),
    ],
  },
];
