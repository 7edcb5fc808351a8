import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock, systemRandomness } from "../../shared/environment.ts";
import { type CheckpointStorage, readWhole } from "../../shared/storage/checkpoint-storage.ts";
import { openCheckpointStorage } from "../../shared/storage/open-storage.ts";
import { storageContract } from "./storage-contract.ts";

const CHILD = fileURLToPath(new URL("storage-file-child.ts", import.meta.url));
const JITI = fileURLToPath(new URL("../../node_modules/jiti/lib/jiti-cli.mjs", import.meta.url));

const open = (folder: string): Promise<CheckpointStorage> =>
  openCheckpointStorage(pathToFileURL(folder).href, { clock: systemClock, randomness: systemRandomness });

storageContract(
  "file",
  async () => {
    const folder = await mkdtemp(join(tmpdir(), "tidemark-storage-"));
    const dispose = (): Promise<void> => rm(folder, { recursive: true, force: true });
    return { storage: await open(folder), reopened: await open(folder), dispose };
  },
  { conditionalWrites: true, listsInCodeOrder: true, heldBytesMax: 12 * 1024 * 1024 },
);

describe("file storage between processes", () => {
  let folder: string;
  let storage: CheckpointStorage;
  const children: ChildProcess[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "tidemark-storage-"));
    storage = await open(folder);
  });
  afterEach(async () => {
    for (const child of children.splice(0)) {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill("SIGKILL");
        await once(child, "exit");
      }
    }
    await rm(folder, { recursive: true, force: true });
  });

  /** Runs a child; kills it after `linesMax` lines. Answers the lines that it wrote. */
  async function run(
    task: string,
    path: string,
    count: number,
    linesMax = Number.POSITIVE_INFINITY,
  ): Promise<string[]> {
    const child = spawn(process.execPath, [JITI, CHILD, task, pathToFileURL(folder).href, path, String(count)], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, JITI_FS_CACHE: "false" },
    });
    children.push(child);
    const exited = once(child, "exit");
    const lines: string[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      lines.push(line);
      if (lines.length >= linesMax) child.kill("SIGKILL");
    }
    const [code, signal] = await exited;
    expect(linesMax === Number.POSITIVE_INFINITY ? code : signal).toBe(
      linesMax === Number.POSITIVE_INFINITY ? 0 : "SIGKILL",
    );
    return lines;
  }

  it("has nothing under the final name when the writer is killed midway", async () => {
    await run("write", "chk-1/part", 0, 20);
    expect(await readdir(join(folder, "chk-1"))).toEqual([]);
    expect((await readdir(join(folder, ".tmp"))).length).toBe(1);
    expect(await storage.read("chk-1/part")).toBeUndefined();
    for await (const { path } of storage.list("")) expect.unreachable(`listed ${path}`);
  });

  it("clears a temporary file that nobody wrote to for a day, and no younger one", async () => {
    await run("write", "chk-1/part", 0, 3);
    const url = pathToFileURL(folder).href;
    const later = (ms: number) => ({ ...systemClock, now: () => Date.now() + ms });
    await openCheckpointStorage(url, { clock: later(23 * 3_600_000), randomness: systemRandomness });
    expect((await readdir(join(folder, ".tmp"))).length).toBe(1);
    await openCheckpointStorage(url, { clock: later(25 * 3_600_000), randomness: systemRandomness });
    expect(await readdir(join(folder, ".tmp"))).toEqual([]);
  });

  it("gives each path that four processes create at once to exactly one", async () => {
    const created = await Promise.all([1, 2, 3, 4].map(() => run("create", "chk-1/m", 100)));
    const all = created.flat().map(Number);
    expect(all.sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, n) => n));
    for (let n = 0; n < 100; n += 1)
      expect((await readWhole(storage, `chk-1/m-${n}`))?.text).toMatch(/^(\d+)\1{1999}$/);
  });

  it("loses no increment of four processes that replace one object", async () => {
    await storage.createExclusively("counter", Buffer.from("0"));
    const values = (await Promise.all([1, 2, 3, 4].map(() => run("increment", "counter", 15)))).flat().map(Number);
    expect(values.sort((a, b) => a - b)).toEqual(Array.from({ length: 60 }, (_, n) => n + 1));
    expect(Number((await readWhole(storage, "counter"))?.text)).toBe(60);
  });

  it("keeps every answered replacement, whole, when replacers are killed", async () => {
    await storage.createExclusively("counter", Buffer.from("0"));
    let known = 0;
    for (const linesMax of [1, 4, 2, 7, 3]) {
      const lines = await run("increment", "counter", 1_000_000, linesMax);
      const object = await readWhole(storage, "counter");
      expect(object?.text.length).toBe(9000);
      // The kill may fall between a replacement and its being said, so one more may be there than was said.
      const value = Number(object?.text);
      expect(value - Number(lines.at(-1))).toBeOneOf([0, 1]);
      expect(value).toBeGreaterThan(known);
      known = value;
    }
  });
});
