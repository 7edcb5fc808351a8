import { afterEach, expect, test } from "vitest";
import type { Worker } from "../../../local/worker/worker.ts";
import { systemClock } from "../../../shared/environment.ts";
import { compiled } from "../../support/compiled-tree.ts";

const workers: typeof import("../../../local/worker/worker.ts") = await import(compiled("local/worker/worker.ts"));
const pools: typeof import("../../../local/worker/worker-pool.ts") = await import(
  compiled("local/worker/worker-pool.ts")
);

const launched: Worker[] = [];
afterEach(() => {
  for (const worker of launched.splice(0)) worker.kill("SIGKILL");
});

test("a pool of which one worker cannot start lets those go that did: its process could never end otherwise", async () => {
  let launches = 0;
  const pool = new pools.WorkerPool({
    workers: 3,
    clock: systemClock,
    observe: () => {},
    invocationMs: 60_000,
    launch: async () => {
      launches += 1;
      if (launches === 1) throw new Error("the disk is full");
      const worker = new workers.Worker("./worker-process", () => {});
      launched.push(worker);
      return worker;
    },
  });
  await expect(pool.start()).rejects.toThrow("the disk is full");
  expect(launched.map(({ hasEnded }) => hasEnded)).toEqual([true, true]);
  expect(pool.workers).toEqual([]);
});
