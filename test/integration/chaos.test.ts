/**
 * Kills without mercy, from a seed: first workers in the middle of batches, then whole runs with all they hold, while
 * several workers contend for the same keys and checkpoints are taken. At the end state is that of a plain pass over the
 * files, and so it is after a restore of a checkpoint that was taken amid the kills.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, expect, test, vi } from "vitest";
import type { Engine } from "../../local/engine.ts";
import { compiled } from "../support/compiled-tree.ts";
import { type EventFiles, writeEventFiles } from "../support/counted-events.ts";
import { type Spawned, startTidemark } from "../support/spawned-cli.ts";

vi.setConfig({ testTimeout: 240_000 });

const { startEngine }: typeof import("../../local/engine.ts") = await import(compiled("local/engine.ts"));
const appModule = compiled("test/support/counting-app.ts");
const SEED = Number(process.env.TIDEMARK_TEST_SEED ?? 20260331);
const WORKER_KILLS = 12;
const RUN_KILLS = 4;

let files: EventFiles;
let engine: Engine | undefined;
let run: Spawned | undefined;

afterEach(async () => {
  run?.child.kill("SIGKILL");
  await run?.ended;
  await engine?.stop();
  vi.unstubAllEnvs();
  files.remove();
});

/** Mulberry32: uniform in [0, 1). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

async function statesOf(running: Engine): Promise<Map<string, unknown>> {
  const { states, cursor } = await running.statePage("counting");
  expect(cursor).toBeUndefined();
  return new Map(states.map(({ key, state }) => [key, state]));
}

test(`kills of workers and of runs at any moment (TIDEMARK_TEST_SEED=${SEED}) leave the state of a plain pass`, async () => {
  files = writeEventFiles({ files: 4, events: 2_500, keys: 13 });
  vi.stubEnv("TIDEMARK_TEST_DELAY_MS", "2");
  const random = seeded(SEED);
  const sources = { events: files.glob };
  const options = { home: files.home, appModule, sources, workers: 3, batchRecords: 100, checkpointIntervalMs: 300 };

  engine = await startEngine(options);
  for (let kills = 0; kills < WORKER_KILLS; kills++) {
    await sleep(50 + 450 * random());
    await engine.killWorker("SIGKILL");
  }
  expect((await engine.progress()).drained).toBe(false);
  await engine.stop();
  engine = undefined;

  for (let kills = 0; kills < RUN_KILLS; kills++) {
    run = startTidemark(
      ["run", appModule, "--home", files.home, "--source", `events=${files.glob}`, "--workers", "2"].concat([
        "--batch-size",
        "100",
        "--checkpoint-interval",
        "200ms",
      ]),
    );
    // What a start does is struck as well as what a run does.
    if (kills > 0) await run.says("Running counts");
    await sleep(800 * random());
    run.child.kill("SIGKILL");
    expect((await run.ended).code).toBeNull();
  }

  vi.stubEnv("TIDEMARK_TEST_DELAY_MS", "0");
  engine = await startEngine(options);
  await engine.checkpoint({ savepoint: "amid" });
  await engine.drained();
  expect(await statesOf(engine)).toEqual(files.expected());
  expect(await engine.restore({ savepoint: "amid" })).toMatchObject({ outcome: "finished" });
  expect(await statesOf(engine)).toEqual(files.expected());
});
