/** Every case that docs/protocol.md §8 asks for has its named tests, and they are there. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, it } from "vitest";

const root = path.resolve(import.meta.dirname, "../..");

/** Beginning of a case's row -> tests, by file and by a piece of their names. */
const TESTS: Readonly<Record<string, readonly (readonly [file: string, name: string])[]>> = {
  "crash between any two calls": [
    ["batch-crash", "crash between any two calls of a batch"],
    ["coordinator-crash", "crash between any two calls of the coordinator"],
    ["restore-crash", "crash between any two calls of a restore"],
  ],
  "a write that was applied but answered with a time-out": [
    ["batch-crash", "a write of a batch that was applied but answered with a time-out"],
    ["batch-crash", "a write of a batch that arrives long after its caller died"],
    ["coordinator-crash", "a write of the coordinator that was applied but answered with a time-out"],
    ["coordinator-crash", "a write of the coordinator that arrives long after its caller died"],
    ["restore-crash", "a write of a restore that arrives long after its caller died"],
  ],
  "duplicate batches, overlapping batches": [
    ["deliveries", "duplicate batches change nothing"],
    ["deliveries", "overlapping batches fold each record once"],
    ["deliveries", "late duplicates of resolved records"],
    ["deliveries", "a batch delivered again in bisected pieces"],
    ["interleavings", "duplicate and overlapping batches, two mappings on one stream"],
  ],
  "a batch partly applied in epoch n-1, redelivered": [["deliveries", "stays in n-1: events keep their colour"]],
  "a batch partly applied, then given up by the source": [["deliveries", "the hole is noted, and B comes after it"]],
  "the coordinator's idle move racing": [
    ["images", "is passed once by an idle move and a handler that race"],
    ["interleavings", "the coordinator's idle move racing a handler's barrier"],
  ],
  "key created after the cut": [
    ["images", "created after the cut is not in the checkpoint"],
    ["images", "deleted after the cut is in the checkpoint"],
    ["images", "created and deleted after the cut"],
    ["tombstones", "a handler stalled before it applies nothing twice"],
  ],
  "two splits writing one key": [["images", "both images are right, whichever comes first"]],
  "an aborted checkpoint followed by the next one": [["images", "while a slow split skips the aborted epoch"]],
  "manifest and abort written at the same time": [
    ["outcome", "the late commit follows the abort"],
    ["outcome", "one that stalls before its commit and comes back an epoch later"],
  ],
  "a split born, or closed": [
    ["births", "after the trigger and before the list"],
    ["births", "whose put is answered late"],
    ["births", "is ended in the cut once it was read to its end"],
    ["births", "while a checkpoint is aborted: ended in the next"],
  ],
  "a poison record, a record that kills the process": [
    ["poison", "never blocks the barrier"],
    ["poison", "lets the barrier pass once it is given up"],
  ],
  "a record of several events": [
    ["several-events", "is not folded at all where handle throws at one of its events"],
    ["several-events", "is refused as a whole where the schema refuses one of its events"],
    ["several-events", "that kills is found among others, and is a dead letter of its own"],
    ["several-events", "is folded to its end when the time is up within it"],
    ["several-events", "is folded once, whatever call of its batch %s"],
    ["several-events", "without any event is resolved, and writes nothing"],
  ],
  "another split comes between the writes of its keys": [
    ["several-events", "is given up for exactly the events that are missing"],
    ["several-events", "whenever a batch that had folded it is held, and goes on after it was given up"],
    ["several-events", "is given up exactly, whatever call %s"],
    ["several-events", "is redriven by what the restored cut says of it"],
    ["several-events", "is put back a second time for what its first entry left missing"],
  ],
  "a record that may kill, in invocations that overtake": [
    ["poison", "an invocation that is overtaken while it is in %s"],
    ["poison", "is overtaken by one that died: only that one counts"],
    ["poison", "met by invocations that overtake each other becomes a dead letter all the same"],
  ],
  "a zombie handler that writes or ends": [
    ["interleavings", "a zombie handler that writes or ends after a restore, or after a later batch"],
    ["zombies", "held at its End through a later batch"],
  ],
  "a restore that dies at any step": [
    ["restore-crash", "crash between any two calls of a restore"],
    ["restores", "of two checkpoints, the slower one finishing last"],
    ["restores", "aborts it by the marker"],
  ],
  "two splits that share a key, and a `handle`": [
    ["shared-keys", "are folded in another order by a replay"],
    ["shared-keys", "where the splits are cut by key"],
    ["shared-keys", "where handle commutes"],
  ],
  "a source that no longer has the records": [["restores", "is refused by name before anything changed"]],
  "retention against a stalled coordinator": [
    ["outcome", "against a coordinator that stalled before its commit"],
    ["outcome", "against a restore at any of its calls"],
  ],
  "the app's start is changed": [
    ["start-from", "a split keeps the one that its checkpoint was taken with"],
    ["start-from", "a split of a checkpoint in at-least-once mode keeps its own as well"],
    ["start-from", "a split of a renamed function keeps the start of its old name"],
  ],
  "a restore of 2 after 3, 4 were taken": [["outcome", "then latest is never 3 or 4"]],
  "old code beside new state versions": [
    ["state-versions", "fails the batch, writes nothing, counts no try"],
    ["state-versions", "is upgraded by its own version where an event of the old epoch"],
  ],
  "throttling for an hour": [["poison", "throttl"]],
  "records that were there before their split was born": [
    ["expiry", "after its first batch: the next one notes the hole"],
    ["expiry", "before its first batch, the coordinator having born it: that batch"],
    ["expiry", "after a restore to before the split was there"],
    ["expiry", "after a hole was noted by a batch that died"],
  ],
  "a tried batch expires in part": [
    ["expiry", "in part: the hole is noted"],
    ["expiry", "whole: the hole reaches"],
    ["expiry", "whole while a checkpoint waits"],
    ["expiry", "with nothing after it: the coordinator notes it"],
    ["expiry", "for a quiet shard older than the retention"],
    ["expiry", "records come and expire unseen, and then the coordinator looks"],
  ],
  "a poison record skipped": [["poison", "that was skipped before a later record of its key was written"]],
  "records refused in a row": [
    ["poison", "stop no split once the code has taken one of its records"],
    ["poison", "stop no split that cannot be decoded"],
    ["poison", "stop a version that has taken none of the split yet"],
    ["poison", "stop no version that took a record before another one was deployed"],
    ["poison", "after a restore stop no version that had taken a record before"],
  ],
  "a stopped split asked to skip": [
    ["skip", "crashes at any call of the batch that does it"],
    ["skip", "is asked twice and does it once"],
    ["skip", "forgets it once the split went on without it"],
    ["skip", "forgets it with a restore"],
    ["skip", "where the source no longer has the one that it stood at"],
  ],
  "a state that cannot be kept": [
    ["poison", "over a worker's own copy that is out of date is none"],
    ["poison", "after a conflict is a try like any other"],
    ["bad-input", "that returns %s is told the path, and is not asked again"],
  ],
  "retention while a split is stuck": [["outcome", "keeps the newest one in which no split was stuck"]],
  "retention after a function was renamed": [
    ["outcome", "keeps the newest one that has a function under its former name"],
  ],
  "a tombstone covered late": [["tombstones", "that is covered late stays"]],
  "redriven letters of a deployment": [
    ["deployed-redrive", "a coordinator that delivers redriven letters and takes a checkpoint"],
    ["deployed-redrive", "held at every call while another does all of it: the same"],
    ["deployed-redrive", "held at every call while a checkpoint from before the letter is restored: the same"],
    ["deployed-redrive", "wait while a restore runs or is held"],
    ["deployed-redrive", "wait for their own split, without a batch that a checkpoint would wait for"],
  ],
  "a restore that is asked for": [
    ["requested-restores", "crash between any two calls of a restore that is asked for"],
    ["requested-restores", "takes the place of another that is still being checked"],
    ["requested-restores", "is refused with its reason"],
    ["requested-restores", "is not begun by a coordinator that had found nothing wrong"],
  ],
  "a restore that is held": [
    ["held-restores", "a held restore that goes wrong at any call"],
    ["held-restores", "up to the time"],
  ],
  "mappings at every call of a restore": [
    ["requested-restores", "keeps what it owes a mapping"],
    ["requested-restores", "leaves a mapping alone that was disabled by hand before"],
  ],
  "workers: 1, 4, 16": [
    ["fan-out", "by %i workers: every slice and part is done once"],
    ["fan-out", "one of which dies at one of its calls"],
    ["fan-out", "when every worker dies"],
    ["fan-out", "is superseded and writes nothing"],
  ],
  "two restorers, the slower one finishing last": [
    ["restores", "the slower one finishing last"],
    ["restores", "a restore record that arrives late is refused"],
    ["births", "as a restore ends is refused for no longer than until its next batch"],
  ],
};

function cases(): string[] {
  const page = readFileSync(path.join(root, "docs/protocol.md"), "utf8");
  const table = page.slice(page.indexOf("## 8. Cases that tests must contain")).split("\n");
  const rows = table.filter((line) => line.startsWith("|")).slice(2);
  return rows.map((row) => row.split("|")[1]?.trim() ?? "");
}

it.each(cases())("has its tests: %s", (row) => {
  const beginning = Object.keys(TESTS).find((one) => row.startsWith(one));
  expect(beginning, `tests of the case ${JSON.stringify(row)}`).toBeDefined();
  for (const [file, name] of TESTS[beginning as string] ?? []) {
    expect(readFileSync(path.join(import.meta.dirname, `${file}.test.ts`), "utf8")).toContain(name);
  }
});

it("names no case that the page does not have", () => {
  const rows = cases();
  expect(rows.length).toBeGreaterThan(20);
  expect(Object.keys(TESTS).filter((beginning) => !rows.some((row) => row.startsWith(beginning)))).toEqual([]);
});
