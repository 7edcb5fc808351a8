import { appendFileSync, renameSync, rmSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { Engine, EngineOptions } from "../../local/engine.ts";
import type { EngineEvent } from "../../local/engine-event.ts";
import { compiled } from "../support/compiled-tree.ts";
import { type EventFiles, writeEventFiles } from "../support/counted-events.ts";
import type { Counted } from "../support/counting-app.ts";
import { startDynalite } from "../support/dynalite.ts";

vi.setConfig({ testTimeout: 240_000 });

const { startEngine }: typeof import("../../local/start-engine.ts") = await import(compiled("local/start-engine.ts"));
const appModule = compiled("test/support/counting-app.ts");
let files: EventFiles;
let engine: Engine | undefined;

afterEach(async () => {
  vi.unstubAllEnvs();
  await engine?.stop();
  engine = undefined;
  files.remove();
});

async function start(options: EngineOptions = {}, events: EngineEvent[] = []): Promise<Engine> {
  const observe = (event: EngineEvent) => void events.push(event);
  engine = await startEngine({ home: files.home, appModule, sources: { events: files.glob }, observe, ...options });
  return engine;
}

async function states(of: Engine): Promise<Map<string, Counted>> {
  const found = new Map<string, Counted>();
  let cursor: string | undefined;
  do {
    const page = await of.statePage("counting", cursor);
    for (const { key, state } of page.states) found.set(key, state as unknown as Counted);
    cursor = page.cursor;
  } while (cursor !== undefined);
  return found;
}

describe.each(["dynamodb", "heap"] as const)("an engine on %s", (backend) => {
  test("folds every event once, though its worker is killed in the middle of batches", async () => {
    files = writeEventFiles({ files: 2, events: 300, keys: 7 });
    vi.stubEnv("TIDEMARK_TEST_DELAY_MS", "1");
    const events: EngineEvent[] = [];
    const running = await start({ backend, batchRecords: 50, checkpointIntervalMs: 100 }, events);
    for (const goal of [50, 200]) {
      while ((await running.progress()).records < goal) await sleep(5);
      expect(await running.killWorker("SIGKILL")).toBeGreaterThan(0);
    }
    await running.drained();
    expect(await states(running)).toEqual(files.expected());
    const deaths = events.filter((event) => event.type === "worker-ended" && event.how === "SIGKILL");
    expect(deaths.length).toBeGreaterThanOrEqual(2);
  });

  test("passes a record whose handling changes Object.prototype, and folds all others in an intact process", async () => {
    files = writeEventFiles({ files: 1, events: 60, keys: 5 });
    const expected = files.expected();
    appendFileSync(path.join(files.folder, "events-0.jsonl"), `${JSON.stringify({ key: "bad", n: 1 })}\n`);
    appendFileSync(path.join(files.folder, "events-0.jsonl"), `${JSON.stringify({ key: "good", n: 1 })}\n`);
    expected.set("good", { count: 1, chains: { "events-0.jsonl": 1 } });
    vi.stubEnv("TIDEMARK_TEST_CHANGES_AT", "bad");
    const events: EngineEvent[] = [];
    const running = await start({ backend, batchRecords: 20 }, events);
    await running.drained();
    expect(await states(running)).toEqual(expected);
    const what = 'Object.prototype has got a member "added"';
    expect(events.filter(({ type }) => type === "dead-letter")).toMatchObject([
      { error: expect.stringContaining(what) },
    ]);
    const ends = events.filter((event) => event.type === "worker-ended");
    for (const end of ends)
      expect(end.how).toContain(`exit code 1: the app's code changed the language's own objects: ${what}`);
    // A heap is memory: its process stays, once the change is undone.
    if (backend === "dynamodb") expect(ends.length).toBeGreaterThanOrEqual(2);
    else expect(ends).toEqual([]);
  });

  test("goes on after it was stopped, on the same home", async () => {
    files = writeEventFiles({ files: 2, events: 120, keys: 5 });
    vi.stubEnv("TIDEMARK_TEST_DELAY_MS", "1");
    const first = await start({ backend, batchRecords: 20 });
    while ((await first.progress()).records < 40) await sleep(5);
    await first.stop({ checkpoint: true });
    const second = await start({ backend, batchRecords: 20 });
    await second.drained();
    expect((await second.progress()).records).toBeLessThanOrEqual(200);
    expect(await states(second)).toEqual(files.expected());
  });

  test("restores a checkpoint and replays to the same state", async () => {
    files = writeEventFiles({ files: 2, events: 100, keys: 5 });
    const running = await start({ backend, batchRecords: 10 });
    await running.checkpoint({ savepoint: "early" });
    await running.drained();
    await running.checkpoint();
    const report = await running.restore({ savepoint: "early" });
    expect(report).toMatchObject({ outcome: "finished", checkpoint: 1 });
    expect((await running.progress()).phase).toBe("RUNNING");
    expect(await states(running)).toEqual(files.expected());
    expect(await running.restoreStatus()).toMatchObject({ phase: "finished", checkpoint: 1 });
  });
});

describe("an engine", () => {
  test("keeps the old version when the new one cannot be loaded, and replaces it otherwise", async () => {
    files = writeEventFiles({ files: 1, events: 30, keys: 3 });
    const running = await start();
    await expect(running.redeploy(path.join(files.folder, "nowhere.ts"))).rejects.toThrow("There is no app module");
    const before = (await running.progress()).workers;
    await running.redeploy(appModule);
    expect((await running.progress()).workers).not.toEqual(before);
    await running.drained();
    expect(await states(running)).toEqual(files.expected());
  });

  test("on an external DynamoDB is joined by another home with the same storage, and refused with one of its own", async () => {
    files = writeEventFiles({ files: 2, events: 30, keys: 3 });
    const external = await startDynalite();
    try {
      const storage = pathToFileURL(path.join(files.folder, "storage")).href;
      const first = await start({ dynamodb: external.endpoint, storage });
      await first.drained();
      await first.checkpoint();
      await first.stop();
      const home = path.join(files.folder, "other-home");
      await expect(start({ home, dynamodb: external.endpoint })).rejects.toThrow(`--storage ${storage}`);
      const second = await start({ home, dynamodb: external.endpoint, storage });
      await second.drained();
      expect((await second.progress()).records).toBe(0);
      expect(await states(second)).toEqual(files.expected());
      expect((await second.checkpoint()).n).toBe(2);
      await second.stop();
    } finally {
      await external.close();
    }
  });

  test("goes on with the backend, the storage and the DynamoDB of its home, wherever that was moved", async () => {
    files = writeEventFiles({ files: 1, events: 30, keys: 3 });
    const first = await start({ backend: "heap" });
    await first.drained();
    await first.stop({ checkpoint: true });
    const home = path.join(files.folder, "moved");
    renameSync(files.home, home);
    await expect(start({ home, backend: "dynamodb" })).rejects.toThrow("keeps its state with the heap backend");
    const second = await start({ home });
    await second.drained();
    expect(await second.progress()).toMatchObject({ backend: "heap", records: 0 });
    const storage = pathToFileURL(path.join(files.folder, "elsewhere")).href;
    await second.stop();
    await (await start({ home, storage })).stop();
    expect((await start({ home })).storageUrl).toBe(storage);
  });

  test("on a heap without checkpoints starts from the beginning", async () => {
    files = writeEventFiles({ files: 1, events: 30, keys: 3 });
    const first = await start({ backend: "heap", inProcess: true });
    await first.drained();
    await first.stop();
    rmSync(path.join(files.home, "checkpoints"), { recursive: true, force: true });
    const second = await start({ backend: "heap", inProcess: true });
    await second.drained();
    expect((await second.progress()).records).toBe(30);
    expect(await states(second)).toEqual(files.expected());
  });

  test("on a heap that was killed just after a restore goes on from there, never from what was abandoned", async () => {
    files = writeEventFiles({ files: 2, events: 100, keys: 5 });
    const good = await start({ backend: "heap" });
    await good.drained();
    await good.checkpoint({ savepoint: "good" });
    await good.stop();
    appendFileSync(path.join(files.folder, "events-0.jsonl"), '{"key":"k1","n":7}\n{"key":"late","n":8}\n');
    vi.stubEnv("TIDEMARK_TEST_BUG", "1");
    const bad = await start({ backend: "heap" });
    await bad.drained();
    await bad.stop({ checkpoint: true });
    vi.stubEnv("TIDEMARK_TEST_BUG", "0");
    const repaired = await start({ backend: "heap" });
    expect((await states(repaired)).get("late")?.count).toBe(1_000);
    expect(await repaired.restore({ savepoint: "good" })).toMatchObject({ outcome: "finished" });
    await repaired.killWorker("SIGKILL");
    await repaired.drained();
    expect(await states(repaired)).toEqual(files.expected());
    await repaired.killWorker("SIGKILL");
    await repaired.stop();
    const later = await start({ backend: "heap" });
    await later.drained();
    expect(await states(later)).toEqual(files.expected());
    expect((await later.checkpoint()).n).toBeGreaterThan(2);
  });

  test("on a heap that is killed while it takes checkpoints restores whole ones alone", async () => {
    files = writeEventFiles({ files: 2, events: 1_000, keys: 50 });
    vi.stubEnv("TIDEMARK_TEST_DELAY_MS", "1");
    const events: EngineEvent[] = [];
    const running = await start({ backend: "heap", batchRecords: 20, checkpointIntervalMs: 1 }, events);
    const triggered = (): number => events.filter(({ type }) => type === "checkpoint-triggered").length;
    for (let kills = 0; kills < 4; kills++) {
      for (const before = triggered(); triggered() < before + 2; ) await sleep(2);
      await sleep(kills * 7);
      await running.killWorker("SIGKILL");
    }
    await running.drained();
    expect(await states(running)).toEqual(files.expected());
  });

  test.each([
    [{ backend: "disk" as never }, 'must be "dynamodb" or "heap"'],
    [{ workers: 0 }, "workers is 0"],
    [{ batchRecords: 20_000 }, "from 1 to 10,000"],
    [{ backend: "heap" as const, workers: 2 }, "one process"],
    [{ storage: "memory:" }, "is gone with its process"],
    [{ storage: "ftp://x" }, "ftp: is no scheme"],
    [{ inProcess: true }, "inProcess is for"],
    [{ dynamodb: "localhost:8000" }, 'must be "embedded", "aws", or the URL'],
    [{ dynamodb: "http://127.0.0.1:1" }, "The DynamoDB at http://127.0.0.1:1 cannot be used"],
    [{ dynamodb: "aws" }, "Set AWS_REGION"],
    [{ sources: { events: "kinesis:flights" } }, "Set AWS_REGION"],
    [{ sources: { events: "/dev/null", event: "/dev/null" } }, 'the source "event", which no function of counts reads'],
    [{ sources: {} }, "--source events=PATH"],
    [{ sources: { events: "/nowhere/at/all.jsonl" } }, "/nowhere/at/all.jsonl"],
  ])("refuses %j with what to do", async (options, message) => {
    for (const name of ["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"]) vi.stubEnv(name, undefined);
    vi.stubEnv("AWS_CONFIG_FILE", "/nowhere");
    files = writeEventFiles({ files: 1, events: 1, keys: 1 });
    await expect(start(options)).rejects.toThrow(message);
  });
});
