/** Breaks of what the simulator's histories do not go through; a suite that goes through every call of it tells. */
import { inFile, type Mutant } from "./mutant.ts";

const REQUESTED = "test/protocol/requested-restores.test.ts";
const TURNED = "test/unit/restore/turn-mappings.test.ts";
const HELD = "test/protocol/held-restores.test.ts";

const VERSIONS = "test/protocol/state-versions.test.ts";

export const suiteMutants: readonly Mutant[] = [
  {
    name: "loaded-state-not-checked",
    breaks: "a state is folded as it was loaded, whatever the function's schema says of it",
    rule: "A state that the function's own schema (`state.schema`) refuses as it is loaded, after its upgrade, does the same",
    world: "suite",
    suite: VERSIONS,
    edits: [inFile("shared/function/upgrade-image.ts", "if (refusal === undefined) return value;", "return value;")],
  },
  {
    name: "returned-state-checked-at-the-end",
    breaks: "what `handle` returns is held to the schema once a batch only",
    rule: "it is asked after each event, so that no batch's borders decide.",
    world: "suite",
    suite: VERSIONS,
    edits: [
      inFile(
        "shared/batch/key-fold.ts",
        "if (definition.state.schema !== undefined) checkReturned(definition, this.key, frozen, nameKey);",
        "",
      ),
      inFile(
        "shared/batch/key-fold.ts",
        "if (working === undefined) return ABSENT;",
        "if (working === undefined) return ABSENT;\n    checkReturned(this.#scope.definition, this.key, working, this.#scope.nameKey);",
      ),
    ],
  },
  {
    name: "bigints-unmarked-in-items",
    breaks: "an item does not say which numbers of its state are BigInts",
    rule: "an image is read back as it was: `true` says that every number within is one",
    world: "adapters",
    edits: [
      inFile(
        "shared/state/dynamodb/state-item-attributes.ts",
        "if (marks !== undefined) attributes.stateBigInts = toAttribute(marks);",
        "",
      ),
    ],
  },
  {
    name: "bigints-unmarked-in-parts",
    breaks: "a part does not say which numbers of a state are BigInts",
    rule: "an image is read back as it was: `true` says that every number within is one",
    world: "suite",
    suite: VERSIONS,
    edits: [
      inFile(
        "shared/checkpoint/part-file.ts",
        "...(marks === undefined ? {} : { stateBigInts: toAttribute(marks) }),",
        "",
      ),
    ],
  },
  {
    name: "replaced-request-recorded",
    breaks: "a restore that was asked for is recorded though another has taken its place",
    rule: "under the request's own token, ◆ only while `requested` is still that token",
    world: "ports",
    edits: [
      inFile(
        "shared/control/control-steps.ts",
        "...(step.requested === true ? isRequested(step.plan.token) : []),",
        "",
      ),
    ],
  },
  {
    name: "held-split-runs",
    breaks: "a split that has nothing left to replay runs though the restore is to be held",
    rule: "◆ While the plan is to be held no split becomes RUNNING, even one that has nothing left to replay",
    world: "ports",
    edits: [
      inFile(
        "shared/restore/replay-split.ts",
        'if (stop?.position !== undefined && item.position >= stop.position) return "held";\n    if (stop === undefined && (item',
        "if ((item",
      ),
    ],
  },
  {
    name: "unread-split-passed-over",
    breaks: "a restore that is held at a time leaves out a split that no batch has met",
    rule: "◆ Held at a time, every split that the source lists is born",
    world: "suite",
    suite: HELD,
    edits: [
      inFile(
        "shared/restore/replay-splits.ts",
        "if (holdsAtTime(carrier)) await bearUnreadSplits(carrier, restored);",
        "",
      ),
    ],
  },
  {
    name: "mapping-off-without-a-note",
    breaks: "a mapping is disabled before control notes that it is owed",
    rule: "◆ Before a mapping that is on is disabled, control notes in `mappingsOff` that it is owed",
    world: "ports",
    edits: [
      inFile(
        "shared/restore/turn-mappings.ts",
        'if (!owed && !(await oweMapping(resources.control, plan.token, name))) return "superseded";\n    if (look.on) await mappings.turn(name, "off");',
        'if (look.on) await mappings.turn(name, "off");\n    if (!owed && !(await oweMapping(resources.control, plan.token, name))) return "superseded";',
      ),
    ],
  },
  {
    name: "mapping-of-others-enabled",
    breaks: "a mapping that was off before a restore is noted as owed all the same",
    rule: "one that was off before, and that nothing notes, stays whoever's it is.",
    world: "ports",
    edits: [
      inFile(
        "shared/restore/turn-mappings.ts",
        "if (look === undefined || (!look.on && !owed)) continue;",
        "if (look === undefined) continue;",
      ),
    ],
  },
  {
    name: "mapping-left-to-late-requests",
    breaks: "what a mapping is owed is forgotten as soon as it is seen on, whoever may still ask for it to be off",
    rule: "when every mapping is seen enabled and the restore ended longer ago than the longest invocation",
    world: "suite",
    suite: TURNED,
    edits: [
      inFile(
        "shared/restore/turn-mappings.ts",
        "if (allOn && resources.clock.now() - finishedAtMs >= CARRIER_MS_MAX)",
        "if (allOn && finishedAtMs >= 0)",
      ),
    ],
  },
  {
    name: "hold-passed-over",
    breaks: "a restore that is held at a time replays the batch in which the first later record is",
    rule: "before the first record that arrived later than a time",
    world: "ports",
    edits: [inFile("shared/batch/replay-split.ts", "tooLate === -1 ? due : due.slice(0, tooLate)", "due")],
  },
  {
    name: "held-before-all-are-there",
    breaks: "a restore is held once one of its splits has come to its hold",
    rule: "Once every split is there control notes `heldAtMs`",
    world: "suite",
    suite: HELD,
    edits: [
      inFile(
        "shared/restore/replay-splits.ts",
        'if (waiting.length === 0) return held.size === 0 ? "done" : "held";',
        'if (waiting.length === 0 || held.size > 0) return held.size === 0 ? "done" : "held";',
      ),
    ],
  },
  {
    name: "held-for-good",
    breaks: "a restore that was told to go on is held once more, for ever",
    rule: "then splits replay what is left up to `until` and run.",
    world: "ports",
    edits: [
      inFile(
        "shared/restore/restore-hold.ts",
        "if (hold === undefined || plan.wentOnAtMs !== undefined) return undefined;",
        "if (hold === undefined) return undefined;",
      ),
    ],
  },
  {
    name: "note-of-a-mapping-forgotten",
    breaks: "the note of a mapping goes though a restore that counts on it has begun since",
    rule: "conditional on RUNNING and on the `maxGen` that was read ◆",
    world: "suite",
    suite: REQUESTED,
    edits: [
      inFile(
        "shared/control/requested-steps.ts",
        'conditions: [compare("phase", "=", "RUNNING"), compare("maxGen", "=", read.maxGen)],',
        "conditions: [],",
      ),
    ],
  },
];
