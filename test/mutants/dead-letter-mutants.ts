/** Breaks of what gives records up and passes over them, and of what is kept while a split is stuck. */
import { inFile, type Mutant } from "./mutant.ts";

const POISON = "test/protocol/poison.test.ts";
const SKIP = "test/protocol/skip.test.ts";

export const deadLetterMutants: readonly Mutant[] = [
  {
    name: "unfit-over-a-copy",
    breaks: "a state that cannot be kept is refused for good over a worker's own copy",
    rule: "◆ Over a worker's own copy, or after a conflict, it is a try like any other",
    world: "suite",
    suite: POISON,
    edits: [
      inFile(
        "shared/batch/write-states.ts",
        "const stored = await overStored(scope, fold, progress);",
        "const stored = fold;",
      ),
    ],
  },
  {
    name: "unfit-in-a-conflict",
    breaks: "a state that cannot be kept is refused for good while another writer changes it",
    rule: "◆ Over a worker's own copy, or after a conflict, it is a try like any other",
    world: "suite",
    suite: POISON,
    edits: [
      inFile(
        "shared/batch/write-states.ts",
        "await failWhereRefused(scope, fold, progress, false);",
        "await failWhereRefused(scope, fold, progress, true);",
      ),
    ],
  },
  {
    name: "tried-at-once-though-all-fails",
    breaks: "a record's tries are used up at once while nothing else is taken either",
    rule: "Where, after the failure, the same code takes another record of the batch",
    world: "suite",
    suite: POISON,
    edits: [
      inFile(
        "shared/batch/try-at-once.ts",
        "if (left < 1 || !(await takesAnother(others)))",
        "if (left < 1 || (await takesAnother(others), false))",
      ),
    ],
  },
  {
    name: "refusals-stop",
    breaks: "a split stops at too many refusals though the code has taken records of it",
    rule: "◆ Records that the schema refuses, or that nobody can read, stop no split",
    world: "suite",
    suite: POISON,
    edits: [
      inFile(
        "shared/batch/fold-batch.ts",
        "if (split.takenBy?.includes(version) === true) return Number.NEGATIVE_INFINITY;",
        "",
      ),
    ],
  },
  {
    name: "unreadable-stops",
    breaks: "records that nobody can read count as refusals by the schema",
    rule: "◆ Records that the schema refuses, or that nobody can read, stop no split",
    world: "suite",
    suite: POISON,
    edits: [
      inFile(
        "shared/batch/fold-batch.ts",
        'const refused = noEvent.kind === "refused";',
        'const refused = noEvent.kind === "refused" || noEvent.kind === "unreadable";',
      ),
    ],
  },
  {
    name: "broken-schema-goes-on",
    breaks: "a version whose schema refuses everything passes over the whole split",
    rule: "after as many refusals by its schema it stops as well",
    world: "suite",
    suite: POISON,
    edits: [
      inFile(
        "shared/batch/fold-batch.ts",
        "if (refused && firstTaken === undefined && refusals >= maxConsecutiveDeadLetters) {",
        "if (refused && firstTaken === undefined && refusals < 0 * maxConsecutiveDeadLetters) {",
      ),
    ],
  },
  {
    name: "refusals-of-all-versions",
    breaks: "what one version has refused is counted against the next",
    rule: "Counterexample with a count for the split",
    world: "suite",
    suite: POISON,
    edits: [
      inFile(
        "shared/batch/fold-batch.ts",
        "split.refusals?.by === version ? split.refusals.records : 0;",
        "split.refusals?.records ?? 0;",
      ),
    ],
  },
  {
    name: "versions-lost-with-control",
    breaks: "a restore forgets which versions have taken records",
    rule: "a flip unites them with the item's",
    world: "suite",
    suite: POISON,
    edits: [
      inFile(
        "shared/restore/flip-splits.ts",
        "takenBy: takenByEither(atCut?.takenBy, item.takenBy),",
        "takenBy: undefined,",
      ),
    ],
  },
  {
    name: "skip-of-another-record",
    breaks: "a wish to skip is carried out though the split has moved on",
    rule: "◆ A wish holds only while `position = after`",
    world: "suite",
    suite: SKIP,
    edits: [
      inFile(
        "shared/batch/process-batch.ts",
        "if (skip === undefined || skip.after !== position) return 0;",
        "if (skip === undefined || skip.after > position) return 0;",
      ),
      inFile(
        "shared/batch/process-batch.ts",
        "return skip.at === undefined || skip.at === first?.position ? skip.records : 0;",
        "return first === undefined ? 0 : skip.records;",
      ),
    ],
  },
  {
    name: "skip-of-what-is-not-there",
    breaks: "a wish to skip takes the first record that comes for the one that the split stood at",
    rule: "and the first record is still `at`",
    world: "suite",
    suite: SKIP,
    edits: [
      inFile(
        "shared/batch/process-batch.ts",
        "return skip.at === undefined || skip.at === first?.position ? skip.records : 0;",
        "return skip.at === undefined || skip.at <= (first?.position ?? skip.at) ? skip.records : 0;",
      ),
    ],
  },
  {
    name: "skip-replaced",
    breaks: "a wish to skip that waits is replaced by another",
    rule: "◆ A wish that waits is never replaced",
    world: "suite",
    suite: SKIP,
    edits: [
      inFile(
        "shared/control/split-steps.ts",
        'anyOf(missing("skip"), { attribute: path("skip", "after"), is: "<>", to: value(read.position) }),',
        "",
      ),
    ],
  },
  {
    name: "skip-never-done-with",
    breaks: "a wish to skip stays when it was carried out",
    rule: "its End takes the wish away, or leaves what is still to be passed over",
    world: "suite",
    suite: SKIP,
    edits: [inFile("shared/control/split-steps.ts", '...(step.skip === "none" ? [path("skip")] : []),', "")],
  },
  {
    name: "skip-outlives-a-restore",
    breaks: "a flip keeps a wish to skip",
    rule: "A flip drops it.",
    world: "suite",
    suite: SKIP,
    edits: [
      inFile(
        "shared/control/split-steps.ts",
        '        path("skip"),\n        path("refusals"),\n',
        '        path("refusals"),\n',
      ),
    ],
  },
  {
    name: "last-good-checkpoint-deleted",
    breaks: "checkpoints of a state at which a split is stuck push out the last one from before",
    rule: "◆ and the newest one of the live lineage in which no split was stuck",
    world: "suite",
    suite: "test/protocol/outcome.test.ts",
    edits: [
      inFile(
        "shared/checkpoint/retention.ts",
        "n < oldestKept && n !== healthy && !needed.has(n)",
        "n < oldestKept && !needed.has(n)",
      ),
    ],
  },
  {
    name: "former-name-pushed-out",
    breaks: "checkpoints taken since a function was renamed push out the last one of its former name",
    rule: "◆ and for each `previousName` of the app the newest one of the live lineage that has it",
    world: "suite",
    suite: "test/protocol/outcome.test.ts",
    edits: [
      inFile(
        "shared/checkpoint/retention.ts",
        "    for (const n of formerlyNamed(resources.app, kept, isLive)) needed.add(n);\n",
        "",
      ),
    ],
  },
  {
    name: "given-up-for-one-who-lives",
    breaks: "a record is given up for a death that was taken back since",
    rule: "◆ An End that gives a record up for deaths requires that the marks which it counted still stand",
    world: "suite",
    suite: "test/protocol/poison.test.ts",
    edits: [
      inFile(
        "shared/control/split-steps.ts",
        '[...ownedBy(step), ...(step.deaths ?? []).map((mark) => ({ exists: path("failing", mark) }))]',
        "ownedBy(step)",
      ),
    ],
  },
  {
    name: "written-after-it-was-given-up",
    breaks: "who was taken for dead writes the record that was given up for it",
    rule: "and who finds its own mark gone writes nothing once the split has passed the record.",
    world: "suite",
    suite: "test/protocol/poison.test.ts",
    edits: [
      inFile(
        "shared/batch/process-batch.ts",
        "now.gen !== split.gen || now.position >= position",
        "now.gen !== split.gen",
      ),
    ],
  },
  {
    name: "given-up-mark-taken-for-applied",
    breaks: "a record whose keys are marked as given up, and which is no hole, is taken for one that is applied",
    rule: "`position!` is the mark of a record that was given up, and of which nothing is in this key",
    world: "suite",
    suite: "test/protocol/several-events.test.ts",
    edits: [
      inFile(
        "shared/batch/fold-batch.ts",
        "      if (fold.isGivenUp(index)) return ended(givenUpBefore(scope, index));\n",
        "",
      ),
    ],
  },
];
