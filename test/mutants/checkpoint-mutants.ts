/** Breaks of how a checkpoint is cut, written, decided and retained (protocol §5). */
import { inFile, type Mutant } from "./mutant.ts";

export const checkpointMutants: readonly Mutant[] = [
  {
    name: "earlier-parts-of-a-slice-forgotten",
    breaks: "the progress of a slice names its last part alone",
    rule: "stream it to checkpoint storage in parts whose names carry the writer's token.",
    world: "ports",
    edits: [inFile("shared/checkpoint/snapshot-slice.ts", "[...this.#before.parts, this.file],", "[this.file],")],
  },
  {
    name: "slice-begun-again",
    breaks: "a slice whose writer ended is scanned from its beginning again, and its parts are kept",
    rule: "Long scans save their cursor and go on in another invocation.",
    world: "ports",
    edits: [
      inFile("shared/checkpoint/snapshot-slice.ts", "count: slices }, begun.cursor)", "count: slices }, undefined)"),
    ],
  },
  {
    name: "checkpoint-during-restore",
    breaks: "a checkpoint is opened though a restore runs",
    rule: "none starts while control's phase is not RUNNING ◆.",
    world: "ports",
    edits: [
      inFile(
        "shared/control/control-steps.ts",
        'compare("phase", "=", "RUNNING"), noCheckpointOpen',
        "noCheckpointOpen",
      ),
    ],
  },
  {
    name: "number-used-twice",
    breaks: "the trigger does not look whether the epoch is still the one that was read",
    rule: "`control.epoch = n` (conditional on the epoch that was read",
    world: "ports",
    edits: [
      inFile(
        "shared/control/control-steps.ts",
        'conditions: [compare("epoch", "=", step.epochRead), compare("phase"',
        'conditions: [compare("phase"',
      ),
    ],
  },
  {
    name: "stale-coordinator-asks",
    breaks: "a coordinator asks for its barrier whatever was asked for since, and of whichever generation",
    rule: "`pendingEpoch = n`, only if it is less and `gen = g` ◆.",
    world: "suite",
    suite: "test/protocol/outcome.test.ts",
    edits: [
      inFile(
        "shared/control/split-steps.ts",
        '[exists("epoch"), compare("pendingEpoch", "<", step.n), compare("gen", "=", step.generation)]',
        '[exists("epoch")]',
      ),
    ],
  },
  {
    name: "stale-coordinator-moves",
    breaks: "a coordinator moves a clean split whatever epoch it is in",
    rule: "(`epoch = n`, `barriers[n] = position`, only if clean, `epoch < n` ◆ and `gen = g`)",
    world: "ports",
    edits: [
      inFile(
        "shared/control/split-steps.ts",
        'compare("epoch", "<", step.n),\n      compareAttributes("position", ">=", "attemptedTo"),',
        'compareAttributes("position", ">=", "attemptedTo"),',
      ),
    ],
  },
  {
    name: "busy-split-moved",
    breaks: "the coordinator moves a split that a batch is working on",
    rule: "A clean split is moved by the coordinator itself with one conditional write",
    world: "ports",
    edits: [
      inFile(
        "shared/control/split-steps.ts",
        'compare("epoch", "<", step.n),\n      compareAttributes("position", ">=", "attemptedTo"),',
        'compare("epoch", "<", step.n),',
      ),
      inFile("shared/checkpoint/cut.ts", "if (isClean(seen)) {", "if (seen.epoch < n) {"),
    ],
  },
  {
    name: "tail-given-up-unseen",
    breaks: "a tail that expired becomes a hole whatever a batch has done since it was looked at",
    rule: "conditional on the `position`, `attemptedTo` and `gen` that were read ◆",
    world: "suite",
    suite: "test/protocol/deliveries.test.ts",
    edits: [
      inFile(
        "shared/control/split-steps.ts",
        'compare("position", "=", read.position),\n      compare("attemptedTo", "=", read.attemptedTo),\n      compare("gen", "=", read.gen),\n      compareAttributes("position", "<", "attemptedTo"),',
        'exists("epoch"),',
      ),
    ],
  },
  {
    name: "expired-tail-waited-for",
    breaks: "a tried tail that the source has dropped keeps its split unclean for ever",
    rule: "An unclean split whose source holds no record in `(position, attemptedTo]` any more is moved too",
    world: "suite",
    suite: "test/protocol/deliveries.test.ts",
    edits: [
      inFile(
        "shared/checkpoint/cut.ts",
        'if (!checkTail || !(await tailHasExpired(resources, place, seen))) return "visited";',
        'if (!checkTail || seen !== undefined) return "visited";',
      ),
    ],
  },
  {
    name: "late-look-keeps-fresh",
    breaks: "a look at a quiet split keeps it fresh, however long nobody had looked before",
    rule: "◆ A look that is answered later than the retention after `freshAt` does not count",
    world: "ports",
    edits: [
      inFile(
        "shared/checkpoint/look-at-split.ts",
        "if (!(await mayHaveMissed(resources, place, read, clock.now()))) {",
        "if (!(await mayHaveMissed(resources, place, read, clock.now())) || read !== undefined) {",
      ),
    ],
  },
  {
    name: "look-judged-when-asked-for",
    breaks: "a look keeps a quiet split fresh whatever has expired until it was answered",
    rule: "Not when it is asked for:",
    world: "suite",
    suite: "test/protocol/expiry.test.ts",
    edits: [
      inFile(
        "shared/checkpoint/look-at-split.ts",
        "mayHaveMissed(resources, place, read, clock.now())",
        "mayHaveMissed(resources, place, read, askedAtMs)",
      ),
    ],
  },
  {
    name: "overtaken-coordinator-goes-on",
    breaks: "a coordinator takes the epoch it finds for its own, whatever number control is at",
    rule: "A coordinator that reads `control.epoch != n` stops ◆.",
    world: "suite",
    suite: "test/protocol/outcome.test.ts",
    edits: [
      inFile(
        "shared/checkpoint/checkpoint-run.ts",
        "return open ? control : undefined;",
        "return open || control?.checkpoint !== undefined ? control : undefined;",
      ),
    ],
  },
  {
    name: "scan-before-the-cut",
    breaks: "the scan begins when the first split has passed the barrier",
    rule: "Only when every split of every function is in epoch `n`: scan each state table",
    world: "ports",
    edits: [
      inFile(
        "shared/checkpoint/cut.ts",
        "if (cuts.length === approaches.length) return cuts;",
        "if (cuts.length > 0 || approaches.length === 0) return cuts;",
      ),
    ],
  },
  {
    name: "manifest-before-parts",
    breaks: "the manifest is committed though parts of it are still to be written",
    rule: "after every part is durable",
    world: "ports",
    edits: [inFile("shared/checkpoint/snapshot.ts", "if (outcomes.includes(interruption)) return interruption;", "")],
  },
  {
    name: "part-unfinished",
    breaks: "a slice counts as done after its first page",
    rule: "Long scans save their cursor and go on in another invocation.",
    world: "ports",
    edits: [
      inFile(
        "shared/checkpoint/snapshot-slice.ts",
        "this.#done = next.value.cursor === undefined;",
        "this.#done = true;",
      ),
    ],
  },
  {
    name: "losing-put-believed",
    breaks: "who finds the address taken goes by what it wanted to write there",
    rule: "**The object at the manifest's address decides** ◆",
    world: "ports",
    edits: [inFile("shared/checkpoint/outcome.ts", 'if (created === "created") {', "if (created !== undefined) {")],
  },
  {
    name: "lost-answer-taken-for-failure",
    breaks: "who finds its own manifest there, its answer lost, takes the checkpoint for failed",
    rule: "on 412 read it and follow it",
    world: "ports",
    edits: [
      inFile(
        "shared/checkpoint/outcome.ts",
        'if (object.kind === "manifest") return { status: "COMPLETED", manifest: object };',
        'if (object.kind === "manifest") return { status: "ABORTED", reason: "its address is taken" };',
      ),
    ],
  },
  {
    name: "latest-of-an-abandoned-lineage",
    breaks: "the latest checkpoint is the one of the highest number, of whichever lineage",
    rule: "**latest** means latest of the live lineage",
    world: "ports",
    edits: [
      inFile(
        "shared/checkpoint/lineage.ts",
        "completed.findLast((one) => one.generation === generation && one.checkpoint <= upTo);",
        "completed.findLast((one) => generation > 0 && one.checkpoint <= Math.max(upTo, one.checkpoint));",
      ),
    ],
  },
  {
    name: "told-before-the-outcome",
    breaks: "splits are told that a checkpoint beyond the one that ended has its outcome too",
    rule: "After that `resolved = n` on the split items (only if less ◆), so that writers drop `before`.",
    world: "ports",
    edits: [
      inFile(
        "shared/control/split-steps.ts",
        'set: [assign("resolved", step.n)],',
        'set: [assign("resolved", step.n + 1)],',
      ),
    ],
  },
  {
    name: "address-freed",
    breaks: "retention removes the manifest instead of replacing it by a marker",
    rule: "Retention never frees a manifest's address ◆ (a stalled coordinator could commit there again)",
    world: "ports",
    edits: [
      inFile(
        "shared/checkpoint/retention.ts",
        'if ((await storage.replace(manifestPath(n), encodeManifest(marker), found.version)) === "replaced") {',
        "await storage.remove(manifestPath(n));\n    if (marker.checkpoint === n) {",
      ),
    ],
  },
  {
    name: "pinned-checkpoint-deleted",
    breaks: "retention deletes a checkpoint that a restore reads",
    rule: "delete others, never one that control's `restore` pins",
    world: "ports",
    edits: [
      inFile("shared/checkpoint/retention.ts", "new Set(Object.values(control.pins));", "new Set<number>();"),
      inFile(
        "shared/checkpoint/retention.ts",
        "if (restore !== undefined && restore.finishedAtMs === undefined) needed.add(restore.checkpoint);",
        "if (restore !== undefined && restore.checkpoint < 0) needed.add(restore.checkpoint);",
      ),
      inFile(
        "shared/control/control-steps.ts",
        'read.pinned === undefined ? missing("pinned") : compare("pinned", "=", read.pinned),\n      compare("maxGen", "=", read.maxGen),',
        "",
      ),
    ],
  },
  {
    name: "too-few-retained",
    breaks: "retention keeps one checkpoint less than it was told to, and so none of one",
    rule: "Retain the last K checkpoints and all savepoints",
    world: "ports",
    edits: [
      inFile(
        "shared/checkpoint/retention.ts",
        "const oldestKept = live.slice(0, retained).at(-1)?.checkpoint ?? 0;",
        "const oldestKept = (live.slice(0, retained).at(-1)?.checkpoint ?? 0) + 1;",
      ),
    ],
  },
  {
    name: "named-parts-removed",
    breaks: "what is cleared up after a checkpoint includes the parts that its manifest names",
    rule: "then deletes the parts",
    world: "ports",
    edits: [
      inFile(
        "shared/checkpoint/retention.ts",
        'object.kind === "manifest" ? object.files.map(({ name }) => name) : []',
        "[]",
      ),
    ],
  },
  {
    name: "holes-after-the-cut",
    breaks: "a manifest has holes that lie after its cut",
    rule: "The manifest has positions `barriers[n]`, holes, ended splits",
    world: "suite",
    suite: "test/protocol/poison.test.ts",
    edits: [
      inFile(
        "shared/checkpoint/split-cut.ts",
        "if (holeIsWithin(hole, position)) within.push(hole);",
        "if (holeIsWithin(hole, position) || position !== undefined) within.push(hole);",
      ),
    ],
  },
  {
    name: "hole-beyond-the-cut-left-out",
    breaks: "a hole that an expired batch left around the cut is not in the manifest",
    rule: "◆ Of a hole that reaches beyond the split's position in the cut, the manifest has the part up to that position.",
    world: "suite",
    suite: "test/protocol/expiry.test.ts",
    edits: [
      inFile(
        "shared/checkpoint/split-cut.ts",
        "else if (isInHole(hole, position)) {",
        'else if (hole.cause === "dead-letter" && isInHole(hole, position)) {',
      ),
    ],
  },
  {
    name: "tombstone-not-covered",
    breaks: "a tombstone goes though an event at or after its marks may still be on its way",
    rule: "◆ all its `applied` positions are at or before those of a completed checkpoint",
    world: "suite",
    suite: "test/protocol/tombstones.test.ts",
    edits: [
      inFile(
        "shared/checkpoint/coverage.ts",
        "return covered !== undefined && markedPosition(position) <= covered;",
        "return covered !== undefined || position !== undefined;",
      ),
    ],
  },
  {
    name: "tombstone-covered-too-young",
    breaks: "the checkpoint that covers tombstones may be younger than an invocation",
    rule: "that is itself older than the longest invocation plus an hour.",
    world: "suite",
    suite: "test/protocol/tombstones.test.ts",
    edits: [
      inFile(
        "shared/checkpoint/coverage.ts",
        "if (atMs - previous.maturing.atMs < COVERAGE_AGE_MS) return previous;",
        "",
      ),
    ],
  },
  {
    name: "fuzzy-positions-after-the-scan",
    breaks: "at-least-once: the positions in the manifest are those after the scan",
    rule: "read every split's `position` as `B(n,s)` with strong reads BEFORE the scan",
    world: "ports",
    edits: [
      inFile(
        "shared/checkpoint/fuzzy-cut.ts",
        "cuts.push({ ...saved, startTimeMs, takenBy, holes: holesAtCut(holes, saved.position) });",
        "const now = born?.position ?? saved.position;\n    cuts.push({ ...saved, position: now, startTimeMs, takenBy, holes: holesAtCut(holes, now) });",
      ),
      inFile(
        "shared/checkpoint/drive.ts",
        'return typeof files === "string" ? files : manifestOf(run, control, cut.cuts, files);',
        'const after = await cutAndPlan(run, control, options.slices);\n  return typeof files === "string" || typeof after === "string" ? (files as never) : manifestOf(run, control, after.cuts, files);',
      ),
    ],
  },
  {
    name: "fuzzy-cut-of-another-generation",
    breaks: "at-least-once: the position of a split that a restore has left behind goes into a manifest",
    rule: "◆ A split in another generation than control's is not read for the cut",
    world: "suite",
    suite: "test/protocol/at-least-once.test.ts",
    edits: [inFile("shared/checkpoint/fuzzy-cut.ts", "split.gen !== generation", "false")],
  },
  {
    name: "name-had-twice",
    breaks: "a savepoint begins whatever other savepoint has its name",
    rule: "◆ A savepoint's name is had by one of them",
    world: "suite",
    suite: "test/protocol/savepoints.test.ts",
    edits: [
      inFile("shared/checkpoint/savepoints.ts", "if (newest === undefined || replace) return", "if (true) return"),
    ],
  },
  {
    name: "replaced-savepoint-kept",
    breaks: "a savepoint that was replaced is not given to retention",
    rule: "only its settling gives them to retention.",
    world: "suite",
    suite: "test/protocol/savepoints.test.ts",
    edits: [inFile("shared/checkpoint/settle.ts", "checkpoint.replaces ?? []", "[]")],
  },
];
