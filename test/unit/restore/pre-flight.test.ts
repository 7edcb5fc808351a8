import { gunzipSync, gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import type { Manifest } from "../../../shared/checkpoint/manifest.ts";
import { readManifest } from "../../../shared/checkpoint/parse-manifest.ts";
import { readControl } from "../../../shared/control/control-steps.ts";
import { TidemarkError } from "../../../shared/errors.ts";
import { carryOnRestore } from "../../../shared/restore/carry-on.ts";
import type { Problem } from "../../../shared/restore/cheap-checks.ts";
import { checkPart, checkWorkOf, preflight, refusal } from "../../../shared/restore/pre-flight.ts";
import { requestRestore } from "../../../shared/restore/restore.ts";
import { partPath } from "../../../shared/storage/object-paths.ts";
import { describeFunction, RestoreWorld } from "../../support/restore-world.ts";

const FOREVER = Number.POSITIVE_INFINITY;

/** Checkpoints 1, 2 and 3. */
async function threeCheckpoints(): Promise<RestoreWorld> {
  const world = new RestoreWorld();
  for (const last of [3, 6, 9]) {
    await world.deliver("s", last - 2, last);
    await world.deliver("tt", last - 2, last);
    await world.checkpoint();
  }
  return world;
}

const manifestOf = (world: RestoreWorld, n: number) => readManifest(world.stores.storage, { app: "test-app", n });

async function firstPart(world: RestoreWorld, n: number): Promise<{ name: string; path: string; bytes: Buffer }> {
  const name = (await manifestOf(world, n)).files[0]?.name ?? "";
  const path = partPath(n, name);
  const chunks: Uint8Array[] = [];
  for await (const chunk of (await world.stores.storage.read(path))?.body ?? []) chunks.push(chunk);
  return { name, path, bytes: Buffer.concat(chunks) };
}

async function put(world: RestoreWorld, path: string, bytes: Uint8Array): Promise<void> {
  await world.stores.storage.write(
    path,
    (async function* () {
      yield bytes;
    })(),
  );
}

async function expectRefused(world: RestoreWorld, checkpoint: number, ...named: (string | RegExp)[]): Promise<void> {
  // That a pin was set and taken back is counted, so that retention looks again.
  const unpinned = async () => ({ ...(await readControl(world.stores.control)), pinned: undefined });
  const before = await unpinned();
  const refused = await requestRestore(world.resources(), { checkpoint }).catch((thrown: unknown) => thrown);
  for (const text of named) expect(refused).toMatchObject({ message: expect.stringMatching(text) });
  expect(refused).toMatchObject({ name: "TidemarkError" });
  expect(await unpinned(), "nothing was changed").toEqual(before);
}

describe("pre-flight", () => {
  it("reads every part once, and tells how far it is", async () => {
    const world = await threeCheckpoints();
    const seen: number[] = [];
    const report = await preflight(world.resources(), await manifestOf(world, 3), {
      onProgress: ({ files, filesTotal, bytes, bytesTotal }) => {
        expect(filesTotal).toBe(3);
        expect(bytes).toBeLessThanOrEqual(bytesTotal);
        if (files === filesTotal) expect(bytes).toBe(bytesTotal);
        seen.push(files);
      },
    });
    expect(seen).toEqual([1, 2, 3]);
    const sum = (await manifestOf(world, 3)).files.reduce((bytes, file) => bytes + file.bytes, 0);
    expect(report).toEqual({
      ...{ files: 3, keys: 3, bytes: sum, splits: 2, functions: { log: "log" }, startEmpty: [], leftBehind: [] },
    });
  });

  it("counts and reads only what is restored", async () => {
    const world = new RestoreWorld({ functions: [describeFunction("log"), describeFunction("gone")] });
    await world.deliver("s", 1, 3);
    await world.deliver("s", 1, 3, "gone");
    await world.deliver("tt", 1, 3, "gone");
    await world.checkpoint();
    world.functions = [describeFunction("log")];
    const options = { allowNonRestoredState: true };
    expect(await preflight(world.resources(), await manifestOf(world, 1), options)).toMatchObject({
      ...{ files: 3, keys: 3, splits: 1, leftBehind: ["gone"] },
    });
  });

  it("refuses a part that holds state of a newer version than its manifest knows", async () => {
    const world = await threeCheckpoints();
    const [file] = (await manifestOf(world, 3)).files;
    if (file === undefined) throw new Error("no file");
    const check = (stateVersionMax: number) => checkPart(world.resources(), { checkpoint: 3, file, stateVersionMax });
    expect(await check(1)).toBeUndefined();
    const text = `the file ${file.name} holds state of version 1, and the manifest knows 0`;
    expect(await check(0)).toEqual({ kind: "choose-another-checkpoint", text });
  });

  it("is told the newest version that the manifest knows of the part's own function", async () => {
    const world = await threeCheckpoints();
    const manifest = await manifestOf(world, 3);
    const [file] = manifest.files;
    if (file === undefined) throw new Error("no file");
    const functions = [{ ...manifest.functions[0], name: "other", stateVersion: 7 }, ...manifest.functions];
    const of = (one: object) =>
      checkWorkOf({ ...manifest, functions } as Manifest, { ...file, ...one }).stateVersionMax;
    expect([of({}), of({ function: "other" }), of({ function: "none" })]).toEqual([1, 7, 0]);
  });

  it("fails where the storage does, and calls no part altered", async () => {
    const world = await threeCheckpoints();
    const [file] = (await manifestOf(world, 3)).files;
    if (file === undefined) throw new Error("no file");
    for (const error of [new Error("reset"), new TidemarkError("retry", "slow down")]) {
      const storage = { ...world.stores.storage, read: () => Promise.reject(error) } as never;
      const checked = checkPart(world.resources({ storage }), { checkpoint: 3, file, stateVersionMax: 1 });
      await expect(checked).rejects.toBe(error);
    }
  });

  it("names five problems and counts the rest, says each way out once, and which kind of refusal it is", async () => {
    const world = await threeCheckpoints();
    const manifest = await manifestOf(world, 3);
    const problem = (n: number, more: object = {}): Problem => ({ kind: "fix-configuration", text: `p${n}`, ...more });
    const told = (...problems: Problem[]) => refusal(world.resources(), manifest, problems, {});
    const five = [1, 2, 3, 4, 5].map((n) => problem(n, { wayOut: "Mend it." }));
    expect(await told(...five)).toMatchObject({
      kind: "fix-configuration",
      message: expect.stringMatching(
        /: p1; p2; p3; p4; p5\. Mend it\. The newest older checkpoint that would do is 2\.$/,
      ),
    });
    const seven = [...five, problem(6), problem(7, { kind: "choose-another-checkpoint" })];
    expect(await told(...seven)).toMatchObject({
      kind: "choose-another-checkpoint",
      message: expect.stringMatching(/: p1; p2; p3; p4; p5; and 2 more\. Mend it\. The newest/),
    });
  });

  it("names a part that is missing, and the newest older checkpoint that would do", async () => {
    const world = await threeCheckpoints();
    const part = await firstPart(world, 3);
    await world.stores.storage.remove(part.path);
    await expectRefused(world, 3, part.name, /is missing/, /would do is 2\./);
  });

  it("names a part that was cut short, and passes over an older checkpoint that is damaged too", async () => {
    const world = await threeCheckpoints();
    const part = await firstPart(world, 3);
    await put(world, part.path, part.bytes.subarray(0, part.bytes.length - 1));
    await world.stores.storage.remove((await firstPart(world, 2)).path);
    await expectRefused(world, 3, part.name, /bytes instead of/, /would do is 1\./);
  });

  it("names a part of the right length whose bytes were altered", async () => {
    const world = await threeCheckpoints();
    const part = await firstPart(world, 3);
    const altered = Buffer.from(part.bytes);
    altered[altered.length - 5] = (altered.at(-5) ?? 0) ^ 1;
    await put(world, part.path, altered);
    await expectRefused(world, 3, part.name, /would do is 2\./);
  });

  it("refuses what the source no longer has, and says where", async () => {
    const world = await threeCheckpoints();
    const split = world.source.splits.get("tt");
    if (split !== undefined) split.trimmedTo = 4;
    await expectRefused(world, 1, /function log cannot read split tt again after 000003/, /No older checkpoint/);
    expect(await requestRestore(world.resources(), { checkpoint: 2, dryRun: true })).toMatchObject({
      outcome: "would-restore",
    });
  });

  it("refuses when a split that came after the cut cannot be read from its beginning", async () => {
    const world = await threeCheckpoints();
    world.addSplit("uuu", 12);
    await world.deliver("uuu", 1, 6);
    const split = world.source.splits.get("uuu");
    if (split !== undefined) split.trimmedTo = 2;
    await expectRefused(world, 3, /split uuu again from its beginning/);
  });

  it("asks nothing of a split that had ended at the cut, and everything of one that was read on since", async () => {
    const world = await threeCheckpoints();
    for (const n of [1, 3]) {
      await world.editManifest(n, (manifest) => {
        for (const split of manifest.functions[0]?.splits ?? [])
          if (split.split === "tt") Object.assign(split, { ended: true });
      });
    }
    const split = world.source.splits.get("tt");
    if (split !== undefined) split.trimmedTo = 12;
    expect(await requestRestore(world.resources(), { checkpoint: 3, dryRun: true })).toMatchObject({
      outcome: "would-restore",
    });
    await expectRefused(world, 1, /function log cannot read split tt again after 000003/);
  });

  it("asks each source for what was read after the cut, up to where it was tried or a replay is to end", async () => {
    const world = await threeCheckpoints();
    const asked: unknown[] = [];
    const { missingAfter } = world.source.reader;
    const reader = {
      ...world.source.reader,
      missingAfter: async (request: Parameters<typeof missingAfter>[0]) => {
        asked.push([request.split, request.after, request.to]);
        return missingAfter(request);
      },
    };
    Object.assign(world.source, { reader });
    await requestRestore(world.resources(), { checkpoint: 1, dryRun: true });
    expect(asked).toEqual([
      ["s", "000003", "000009"],
      ["tt", "000003", "000009"],
    ]);
  });

  it("refuses state of a newer version than the code's", async () => {
    const world = await threeCheckpoints();
    world.functions = [describeFunction("log", { stateVersion: 4 })];
    await world.deliver("s", 10, 10);
    expect(await world.checkpoint()).toBe(4);
    world.functions = [describeFunction("log", { stateVersion: 3 })];
    await expectRefused(world, 4, /version 4/, /version 3/, /would do is 3\./);
    await expect(requestRestore(world.resources())).rejects.toMatchObject({ kind: "fix-configuration" });
  });

  it("refuses a checkpoint of another app", async () => {
    const world = await threeCheckpoints();
    await world.editManifest(3, (manifest) => Object.assign(manifest, { app: "their-app" }));
    await expectRefused(world, 3, /their-app/);
  });

  it("leaves no pin behind when it refuses", async () => {
    const world = await threeCheckpoints();
    await world.stores.storage.remove((await firstPart(world, 3)).path);
    await expect(requestRestore(world.resources())).rejects.toMatchObject({ kind: "choose-another-checkpoint" });
    expect((await readControl(world.stores.control))?.pins).toEqual({});
  });
});

describe("a part that is altered between pre-flight and load", () => {
  it("spoils its generation: the restore goes on only in a fresh one", async () => {
    const world = await threeCheckpoints();
    expect(await requestRestore(world.resources())).toMatchObject({ checkpoint: 3, generation: 2 });
    const part = await firstPart(world, 3);
    const altered = gunzipSync(part.bytes).toString().replace("s1", "s7");
    await put(world, part.path, gzipSync(altered.replace("s2", "s7").replace("s3", "s7")));
    const carryOn = () => carryOnRestore(world.resources(), { deadlineMs: FOREVER, replay: world.replayer() });
    await expect(carryOn()).rejects.toMatchObject({
      kind: "choose-another-checkpoint",
      message: expect.stringContaining(part.name),
    });

    await put(world, part.path, part.bytes);
    await expect(carryOn()).rejects.toMatchObject({ message: expect.stringContaining("generation 2") });
    expect(await readControl(world.stores.control)).toMatchObject({ gen: 1, phase: "REPLAYING" });
    expect(await requestRestore(world.resources())).toMatchObject({ outcome: "started", checkpoint: 3, generation: 3 });
    expect(await carryOn()).toMatchObject({ outcome: "finished" });
    await world.expectRunning(3);
    await world.expectPromise();
  });
});
