import { describe, expect, test } from "vitest";
import type { EngineEvent } from "../../../local/engine-event.ts";
import { cutBatches } from "../../../local/pump/batches.ts";
import { type DeliveryOptions, deliverAll } from "../../../local/pump/delivery.ts";
import { HeapControlStore } from "../../../shared/control/heap/heap-control-store.ts";
import type { BatchAnswer } from "../../../shared/runtime/event-handler.ts";
import type { ReadPage, SourceRecord } from "../../../shared/source/source.ts";

const record = (n: number): SourceRecord => ({ position: String(n), itemIdentifier: `id-${n}`, payload: n });
const records = (first: number, last: number): SourceRecord[] =>
  Array.from({ length: last - first + 1 }, (_, i) => record(first + i));
const numbers = (batch: readonly SourceRecord[]): unknown[] => batch.map(({ payload }) => payload);

/** A clock that moves only when somebody sleeps. */
function sleepingClock() {
  let now = 1_000_000;
  const sleeps: number[] = [];
  return {
    sleeps,
    now: () => now,
    async sleep(ms: number) {
      sleeps.push(ms);
      now += ms;
    },
  };
}

function delivery(answers: (BatchAnswer | Error)[]) {
  const delivered: unknown[][] = [];
  const events: EngineEvent[] = [];
  const clock = sleepingClock();
  const stop = new AbortController();
  const options: DeliveryOptions = {
    async deliver(_function, batch) {
      delivered.push(numbers(batch.records));
      const answer = answers.shift() ?? { batchItemFailures: [] };
      if (answer instanceof Error) throw answer;
      return answer;
    },
    control: new HeapControlStore(),
    clock,
    randomness: { fraction: () => 1, token: () => "token" },
    observe: (event) => events.push(event),
    pauses: { firstMs: 10, longestMs: 40 },
    signal: stop.signal,
  };
  return { options, delivered, events, clock, stop };
}

const failedAt = (n: number): BatchAnswer => ({ batchItemFailures: [{ itemIdentifier: `id-${n}` }] });

describe("a delivery", () => {
  test("goes on from the record that a partial failure names", async () => {
    const { options, delivered } = delivery([failedAt(3)]);
    expect(await deliverAll(options, "f", { split: "s", records: records(1, 4) })).toBe(2);
    expect(delivered).toEqual([
      [1, 2, 3, 4],
      [3, 4],
    ]);
  });

  test("goes on from the first of several that are named", async () => {
    const { options, delivered } = delivery([
      { batchItemFailures: [{ itemIdentifier: "id-4" }, { itemIdentifier: "id-2" }] },
    ]);
    await deliverAll(options, "f", { split: "s", records: records(1, 4) });
    expect(delivered[1]).toEqual([2, 3, 4]);
  });

  test("repeats the whole batch when the invocation dies, or names a record that the batch does not hold", async () => {
    const { options, delivered, events } = delivery([new Error("died"), failedAt(99)]);
    expect(await deliverAll(options, "f", { split: "s", records: records(1, 2) })).toBe(3);
    expect(delivered).toEqual([
      [1, 2],
      [1, 2],
      [1, 2],
    ]);
    expect(events).toMatchObject([{ type: "delivery-failed", tries: 1, error: "Error: died" }, { tries: 2 }]);
  });

  test("pauses longer after each failure, up to the longest, and shorter again after progress", async () => {
    const { options, clock } = delivery([failedAt(1), failedAt(1), failedAt(1), failedAt(1), failedAt(2)]);
    await deliverAll(options, "f", { split: "s", records: records(1, 2) });
    expect(clock.sleeps).toEqual([10, 20, 40, 40, 10]);
  });

  test("never gives up by itself, and ends when it is told to stop", async () => {
    const { options, delivered, stop } = delivery(Array.from({ length: 500 }, () => new Error("broken")));
    const counting: DeliveryOptions = {
      ...options,
      async deliver(name, batch) {
        if (delivered.length === 400) stop.abort();
        return options.deliver(name, batch);
      },
    };
    expect(await deliverAll(counting, "f", { split: "s", records: records(1, 2) })).toBeUndefined();
    expect(delivered).toHaveLength(401);
  });

  test("waits while a restore replays, and leaves out what the restore has passed", async () => {
    const { options, delivered } = delivery([new Error("REPLAYING")]);
    let looks = 0;
    const phases = ["REPLAYING", "REPLAYING", "RUNNING"];
    const control = {
      ...options.control,
      async get(key: { readonly partition: string }) {
        if (key.partition === "CONTROL") return { gen: 2, phase: phases[looks++] ?? "RUNNING" };
        return { epoch: 1, position: "2" };
      },
    } as unknown as DeliveryOptions["control"];
    await deliverAll({ ...options, control }, "f", { split: "s", records: records(1, 3) });
    expect(looks).toBe(3);
    expect(delivered).toEqual([[1, 2, 3], [3]]);
  });
});

async function* pages(...all: ReadPage[]): AsyncGenerator<ReadPage> {
  yield* all;
}

async function cut(all: ReadPage[], limits: { batchRecords: number; batchWindowMs: number }) {
  const batches: unknown[][] = [];
  let ended = false;
  const clock = { now: () => 0, sleep: () => new Promise<void>(() => {}) };
  for await (const batch of cutBatches(pages(...all), limits, clock)) {
    batches.push(numbers(batch.records));
    ended = batch.ended;
  }
  return { batches, ended };
}

const page = (first: number, last: number, ended = false): ReadPage => ({
  records: records(first, last),
  ended,
  caughtUp: ended,
});

describe("cutting batches", () => {
  test("hands on each page at once without a window", async () => {
    const { batches, ended } = await cut([page(1, 2), page(3, 3, true)], { batchRecords: 5, batchWindowMs: 0 });
    expect(batches).toEqual([[1, 2], [3]]);
    expect(ended).toBe(true);
  });

  test("fills a batch within its window, and never beyond its size", async () => {
    const { batches } = await cut([page(1, 2), page(3, 4), page(5, 6), page(7, 7, true)], {
      batchRecords: 4,
      batchWindowMs: 1_000,
    });
    expect(batches).toEqual([
      [1, 2, 3, 4],
      [5, 6, 7],
    ]);
  });

  test("hands on what there is when the window is over, and keeps the page that comes later", async () => {
    let release: (page: IteratorResult<ReadPage>) => void = () => {};
    const slow: IteratorResult<ReadPage>[] = [{ done: false, value: page(1, 2) }];
    const iterator: AsyncIterator<ReadPage> = {
      next: () => {
        const ready = slow.shift();
        return ready === undefined ? new Promise((resolve) => (release = resolve)) : Promise.resolve(ready);
      },
    };
    const clock = sleepingClock();
    const batches = cutBatches(iterator, { batchRecords: 10, batchWindowMs: 100 }, clock);
    expect(numbers((await batches.next()).value?.records ?? [])).toEqual([1, 2]);
    expect(clock.sleeps).toEqual([100]);
    const late = batches.next();
    release({ done: false, value: page(3, 4, true) });
    expect(numbers((await late).value?.records ?? [])).toEqual([3, 4]);
  });
});
