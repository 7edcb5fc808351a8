/** The embedded engine on files that grow, that it cannot read, or that are not there. */
import { appendFile, mkdir, mkdtemp, rename, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import type { Engine, EngineOptions } from "../../../local/engine.ts";
import type { EngineEvent } from "../../../local/engine-event.ts";
import { startEngine } from "../../../local/start-engine.ts";
import { defineApp } from "../../../shared/app/define-app.ts";
import { listDeadLetters } from "../../../shared/dead-letter/dead-letter.ts";
import { systemClock, systemRandomness } from "../../../shared/environment.ts";
import { defineFunction } from "../../../shared/function/define-function.ts";
import { FileCheckpointStorage } from "../../../shared/storage/file/file-storage.ts";

const sums = defineFunction({
  name: "sums",
  event: z.object({ u: z.string(), n: z.number() }),
  key: (event) => event.u,
  state: { initial: () => ({ n: 0 }) },
  handle: (state, event) => ({ n: state.n + event.n }),
});
const app = defineApp({ name: "sums", functions: [{ function: sums, source: "s" }] });

let folder: string;
let engine: Engine | undefined;
let events: EngineEvent[];

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "tidemark-runs-"));
  await mkdir(at("data"));
  events = [];
});
afterEach(async () => {
  await engine?.stop();
  engine = undefined;
  await rm(folder, { recursive: true });
});

const at = (name: string) => path.join(folder, name);
const line = (u: string, n: number) => `{"u":"${u}","n":${n}}\n`;

async function start(options: EngineOptions = {}): Promise<Engine> {
  engine = await startEngine({
    app,
    backend: "heap",
    inProcess: true,
    home: at("home"),
    sources: { s: at("data") },
    observe: (event) => void events.push(event),
    ...options,
  });
  return engine;
}

async function stop(): Promise<void> {
  const stopping = engine;
  engine = undefined;
  await stopping?.stop({ checkpoint: true });
}

/** A whole run, and what it leaves. */
async function run(options: EngineOptions = {}): Promise<Record<string, number>> {
  await (await start(options)).drained();
  const found = await statesNow();
  await stop();
  return found;
}

async function statesNow(): Promise<Record<string, number>> {
  const { states = [] } = (await engine?.statePage("sums")) ?? {};
  return Object.fromEntries(states.map(({ key, state }) => [key, (state as { n: number }).n]));
}

async function until(wanted: Record<string, number>): Promise<void> {
  const endsAtMs = Date.now() + 10_000;
  while (Date.now() < endsAtMs) {
    if (JSON.stringify(await statesNow()) === JSON.stringify(wanted)) return;
    await sleep(20);
  }
  expect(await statesNow()).toEqual(wanted);
}

const ofType = <Type extends EngineEvent["type"]>(type: Type) =>
  events.filter((event): event is Extract<EngineEvent, { type: Type }> => event.type === type);

describe("a run", () => {
  test("leaves a half-written last line unread, says so once, and a later one goes on from there", async () => {
    await writeFile(at("data/x.jsonl"), `${line("a", 1)}{"u":"a","n":`);
    expect(await run()).toEqual({ a: 1 });
    expect(ofType("unfinished-record")).toEqual([
      expect.objectContaining({
        function: "sums",
        split: "x.jsonl",
        text: expect.stringMatching(/x\.jsonl ends in an unfinished line: record 2, which begins at byte 16/),
      }),
    ]);
    await appendFile(at("data/x.jsonl"), `2}\n${line("a", 4)}`);
    expect(await run()).toEqual({ a: 7 });
    expect(ofType("dead-letter")).toEqual([]);
    expect(ofType("source-failed")).toEqual([]);
  });

  test("folds a whole last line without an end once, whatever is appended to it later", async () => {
    for (const appended of ["\n", `\r\n${line("a", 2)}`, line("a", 2), `\n${line("a", 2)}`]) {
      await rm(at("home"), { recursive: true, force: true });
      await writeFile(at("data/x.jsonl"), line("a", 1).trimEnd());
      expect(await run()).toEqual({ a: 1 });
      await appendFile(at("data/x.jsonl"), appended);
      expect(await run(), JSON.stringify(appended)).toEqual({ a: appended === "\n" ? 1 : 3 });
      expect(await run()).toEqual({ a: appended === "\n" ? 1 : 3 });
    }
    expect(ofType("source-failed")).toEqual([]);
  });

  test("keeps the bytes of a line that is no UTF-8 in its dead letter, and merges no keys", async () => {
    const lines = Buffer.from(`${line("K\xf6ln", 1)}${line("K\xe4ln", 1)}`, "latin1");
    await writeFile(at("data/x.jsonl"), Buffer.concat([lines, Buffer.from(line("Köln", 1))]));
    expect(await run()).toEqual({ Köln: 1 });
    const letters: unknown[] = [];
    const root = at("home/checkpoints");
    const storage = new FileCheckpointStorage({
      root,
      url: `file://${root}`,
      clock: systemClock,
      randomness: systemRandomness,
    });
    for await (const letter of listDeadLetters(storage)) letters.push(letter);
    expect(letters).toEqual(
      [lines.subarray(0, lines.length / 2 - 1), lines.subarray(lines.length / 2, -1)].map((bytes) =>
        expect.objectContaining({
          cause: "refused",
          error: expect.stringMatching(/Byte 7 of the record \(0x(?:F6|E4)/),
          record: { base64: bytes.toString("base64") },
        }),
      ),
    );
  });

  test("reads a folder of Firehose objects, packed or not, and says what it left out", async () => {
    await writeFile(at("data/app-1-2024-01-01-00-00-00"), line("a", 1));
    await writeFile(at("data/app-1-2024-01-01-00-05-00.gz"), gzipSync(line("a", 2)));
    await writeFile(at("data/part.jsonl.gz"), gzipSync(line("b", 4)));
    await writeFile(at("data/notes.txt"), "Dear diary");
    expect(await run()).toEqual({ a: 3, b: 4 });
    expect(ofType("left-out")).toEqual([
      {
        type: "left-out",
        source: "s",
        leftOut: {
          place: at("data"),
          total: 1,
          files: [{ name: "notes.txt", reason: expect.stringContaining("neither as JSON lines nor as Parquet") }],
        },
      },
    ]);
  });

  test("of a path that matches nothing is refused with what was left out, unless that is allowed", async () => {
    await writeFile(at("data/notes.txt"), "Dear diary");
    await expect(start()).rejects.toMatchObject({
      kind: "fix-configuration",
      message: expect.stringMatching(/source "s" has no file to read.*"notes\.txt" \(.*--allow-empty/),
    });
    await expect(start({ sources: { s: at("data/*.jsonl") } })).rejects.toThrow(/has no file to read/);
    expect(await run({ allowEmpty: true })).toEqual({});
  });

  test("is refused a restore, and changes nothing, when a file that had ended was cut since", async () => {
    await writeFile(at("data/x.jsonl"), line("a", 1));
    await run();
    await appendFile(at("data/x.jsonl"), line("a", 2) + line("a", 4));
    expect(await run()).toEqual({ a: 7 });
    const running = await start();
    await running.drained();
    await truncate(at("data/x.jsonl"), line("a", 1).length + line("a", 2).length);
    await expect(running.restore({ checkpoint: 1 })).rejects.toMatchObject({
      kind: "choose-another-checkpoint",
      message: expect.stringMatching(/nothing was changed.*x\.jsonl is not what was read.*row 3 had ended at byte 48/),
    });
    await appendFile(at("data/x.jsonl"), line("a", 4));
    expect(await running.restore({ checkpoint: 1 })).toMatchObject({ outcome: "finished" });
    expect(await statesNow()).toEqual({ a: 7 });
  });
});

test("an engine with a stuck split stops soon, though a checkpoint waits for that split", async () => {
  await writeFile(at("data/x.jsonl"), line("a", 1));
  await run();
  await appendFile(at("data/x.jsonl"), line("a", 2));
  const refusing = defineFunction({
    ...{ name: "sums", event: z.object({ u: z.string() }), key: (event: { u: string }) => event.u },
    state: { initial: () => ({ other: 0 }), schema: z.object({ other: z.number() }) },
    handle: (state) => state,
  });
  const running = await start({ app: defineApp({ name: "sums", functions: [{ function: refusing, source: "s" }] }) });
  expect(await running.settled()).toMatchObject([{ split: "x.jsonl" }]);
  const asked = running.checkpoint();
  asked.catch(() => {});
  await sleep(200);
  const stopsAtMs = Date.now();
  engine = undefined;
  await running.stop();
  expect(Date.now() - stopsAtMs).toBeLessThan(6_000);
  await expect(asked).rejects.toThrow();
}, 60_000);

describe("a run that is kept running", () => {
  test("reads what is appended, and new files", async () => {
    await writeFile(at("data/x.jsonl"), `${line("a", 1)}{"u":"a","n":`);
    await start({ keepRunning: true, checkpointIntervalMs: 100 });
    await until({ a: 1 });
    await appendFile(at("data/x.jsonl"), "2}");
    await until({ a: 3 });
    await appendFile(at("data/x.jsonl"), `\n${line("a", 4)}`);
    await until({ a: 7 });
    await writeFile(at("data/y.jsonl"), line("b", 1));
    await writeFile(at("z"), gzipSync(line("c", 1)));
    await rename(at("z"), at("data/z"));
    await until({ a: 7, b: 1, c: 1 });
    await appendFile(at("data/z"), gzipSync(line("c", 2)));
    await until({ a: 7, b: 1, c: 3 });
    expect(ofType("source-failed")).toEqual([]);
    expect(ofType("dead-letter")).toEqual([]);
  });
});
