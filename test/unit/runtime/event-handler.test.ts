import { expect, test } from "vitest";
import { describeApp } from "../../../shared/app/app-description.ts";
import { defineApp } from "../../../shared/app/define-app.ts";
import { HeapControlStore } from "../../../shared/control/heap/heap-control-store.ts";
import { systemRandomness } from "../../../shared/environment.ts";
import type { TidemarkEvent } from "../../../shared/observer.ts";
import { createFunctionHandler } from "../../../shared/runtime/event-handler.ts";
import { HeapStateBackend } from "../../../shared/state/heap/heap-state-backend.ts";
import { MemoryCheckpointStorage } from "../../../shared/storage/memory/memory-storage.ts";
import counts, { counting } from "../../support/counting-app.ts";
import { ListSource } from "../../support/list-source.ts";
import { HOUR_MS, ManualClock } from "../../support/test-world.ts";

const LATE = { deadlineMs: Number.POSITIVE_INFINITY };

test("a retention that was shortened while the environment lived is heeded by its next batch", async () => {
  const clock = new ManualClock();
  const app = defineApp({ ...counts, name: "retained" });
  const source = new ListSource();
  source.retention = 24 * HOUR_MS;
  source.add(
    "s",
    [1, 2].map((n) => ({ key: "k", n })),
    { arrivalTimeMs: () => clock.ms },
  );
  const events: TidemarkEvent[] = [];
  const handler = createFunctionHandler(app, counting.name, {
    ...{ app: describeApp(app), clock, randomness: systemRandomness, observe: (event) => void events.push(event) },
    ...{ control: new HeapControlStore(), state: new HeapStateBackend(), storage: new MemoryCheckpointStorage() },
    sourceOf: () => source,
  });
  await handler.fold({ split: "s", records: source.records("s", 1, 1) }, LATE);
  source.retention = HOUR_MS;
  clock.ms += 2 * HOUR_MS;
  await handler.fold({ split: "s", records: source.records("s", 2, 2) }, LATE);
  expect(events.filter(({ type }) => type === "hole")).toMatchObject([{ function: "counting", split: "s" }]);
});
