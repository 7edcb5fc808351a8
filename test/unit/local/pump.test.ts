import { afterEach, expect, test } from "vitest";
import { Pump } from "../../../local/pump/pump.ts";
import type { AppResources } from "../../../shared/app/app-resources.ts";
import { HeapControlStore } from "../../../shared/control/heap/heap-control-store.ts";
import { systemClock, systemRandomness } from "../../../shared/environment.ts";
import type { BatchAnswer } from "../../../shared/runtime/event-handler.ts";
import type { SourceBatch } from "../../../shared/source/source.ts";
import { HeapStateBackend } from "../../../shared/state/heap/heap-state-backend.ts";
import { MemoryCheckpointStorage } from "../../../shared/storage/memory/memory-storage.ts";
import { ListSource } from "../../support/list-source.ts";

const ALL: BatchAnswer = { batchItemFailures: [] };
let pump: Pump | undefined;

afterEach(() => pump?.stop());

function startPump(source: ListSource, deliver: (batch: SourceBatch) => Promise<BatchAnswer>): Pump {
  const resources: AppResources = {
    app: {
      name: "pumped",
      functions: [{ name: "f", source: "s", stateVersion: 1 }],
      checkpointing: { mode: "exactly-once", timeoutMs: 1_000, retained: 1 },
      deadLetters: { triesMax: 1, maxConsecutiveDeadLetters: 1 },
    },
    control: new HeapControlStore(),
    state: new HeapStateBackend(),
    storage: new MemoryCheckpointStorage(),
    clock: systemClock,
    randomness: systemRandomness,
    observe: () => {},
    sourceOf: () => source,
  };
  pump = new Pump(
    resources,
    (_function, batch) => deliver(batch),
    () => {},
    {
      ...{ batchRecords: 2, batchWindowMs: 0, discoveryMs: 5 },
      pauses: { firstMs: 1, longestMs: 1 },
    },
  );
  pump.start(["f"]);
  return pump;
}

test("a pump gives way to the rest of the process after each batch, though nothing in it waits", async () => {
  const source = new ListSource();
  source.add(
    "s",
    Array.from({ length: 20 }, (_, n) => n),
    { ended: true },
  );
  let turns = 0;
  const turnsSeen: number[] = [];
  const count = (): void => {
    turns += 1;
    if (turnsSeen.length < 10) setImmediate(count);
  };
  setImmediate(count);
  await startPump(source, async () => {
    turnsSeen.push(turns);
    return ALL;
  }).drained();
  expect(turnsSeen).toHaveLength(10);
  expect(new Set(turnsSeen).size).toBe(10);
});

test("a pump reads a split only after all of its parents are resolved", async () => {
  const source = new ListSource();
  source.add("child", [7], { ended: true, parents: ["left", "right", "expired"] });
  source.add("left", [1, 2, 3], { ended: true });
  source.add("right", [4, 5, 6], { ended: true });
  const delivered: string[] = [];
  const refusals = ["right", "right", "right"];
  await startPump(source, async ({ split, records }) => {
    if (refusals.at(-1) === split) {
      refusals.pop();
      return { batchItemFailures: [{ itemIdentifier: records[0]?.itemIdentifier ?? "" }] };
    }
    delivered.push(...records.map(({ payload }) => `${split}:${payload}`));
    return ALL;
  }).drained();
  expect(delivered).toHaveLength(7);
  expect(delivered.at(-1)).toBe("child:7");
});
