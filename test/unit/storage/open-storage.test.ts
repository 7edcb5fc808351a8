import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build, type Metafile } from "esbuild";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock, systemRandomness } from "../../../shared/environment.ts";
import { readWhole } from "../../../shared/storage/checkpoint-storage.ts";
import type { MemoryCheckpointStorage } from "../../../shared/storage/memory/memory-storage.ts";
import { openCheckpointStorage, type StorageDependencies } from "../../../shared/storage/open-storage.ts";
import { startScriptedS3 } from "./scripted-s3-server.ts";

const dependencies: StorageDependencies = { clock: systemClock, randomness: systemRandomness };
const BODY = Buffer.from("x");

describe("openCheckpointStorage", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "tidemark-open-"));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it.each([
    ["gs://bucket/prefix", "gs: is no scheme"],
    ["/var/checkpoints", "it has no scheme"],
    ["checkpoints", "it has no scheme"],
    ["", "it has no scheme"],
    ["file:checkpoints", "three slashes"],
    ["file://host/checkpoints", "three slashes"],
    ["file:///", "no folder below the root"],
    ["file:///a%2Fb", "no URL of a folder"],
    ["s3://", "names no bucket"],
    ["s3:bucket", "names no bucket"],
    ["s3://Not_A_Bucket/x", "names no bucket"],
    ["s3://bucket//x", "empty segment"],
    ["s3://bucket/a/../b", "one of dots"],
    ["s3://bucket/x", "no S3 client"],
  ])("refuses %j and names the three forms", async (url, why) => {
    await expect(openCheckpointStorage(url, dependencies)).rejects.toMatchObject({
      kind: "fix-configuration",
      message: expect.stringMatching(new RegExp(`${why}.*s3://bucket/prefix, file:///absolute/path, or memory:`)),
    });
  });

  it("makes the folder of a file: URL, with every character decoded", async () => {
    const url = pathToFileURL(join(folder, "new folder", "ü%")).href;
    const storage = await openCheckpointStorage(url, dependencies);
    await storage.createExclusively("chk-1/manifest.json", BODY);
    expect(storage.url).toBe(url);
    expect(await readdir(join(folder, "new folder", "ü%", "chk-1"))).toEqual(["manifest.json"]);
  });

  it("says so when the folder of a file: URL cannot be made", async () => {
    await writeFile(join(folder, "file"), "");
    const url = pathToFileURL(join(folder, "file", "below")).href;
    await expect(openCheckpointStorage(url, dependencies)).rejects.toMatchObject({
      kind: "fix-configuration",
      message: expect.stringMatching(/a file where a folder is needed/),
    });
  });

  it("opens one storage for one memory: name of a registry, and others for other names", async () => {
    const memory = new Map<string, MemoryCheckpointStorage>();
    const first = await openCheckpointStorage("memory:one", { ...dependencies, memory });
    await first.createExclusively("a", BODY);
    const same = await openCheckpointStorage("memory:one", { ...dependencies, memory });
    const other = await openCheckpointStorage("memory:two", { ...dependencies, memory });
    expect((await readWhole(same, "a"))?.text).toBe("x");
    expect(await readWhole(other, "a")).toBeUndefined();
  });

  it("opens a new storage for memory: each time", async () => {
    const memory = new Map<string, MemoryCheckpointStorage>();
    const first = await openCheckpointStorage("memory:", { ...dependencies, memory });
    await first.createExclusively("a", BODY);
    expect(await readWhole(await openCheckpointStorage("memory:", { ...dependencies, memory }), "a")).toBeUndefined();
  });

  it("puts objects under the URL's prefix, without a double slash", async () => {
    const s3 = await startScriptedS3([{ status: 200 }]);
    const options = { ...dependencies, s3Client: s3.client, unsafelyAllowUnconditionalWrites: true };
    for (const url of ["s3://bucket/apps/one/", "s3://bucket/", "s3://bucket"]) {
      await (await openCheckpointStorage(url, options)).remove("a");
    }
    expect(s3.seen.filter((_, n) => n % 3 === 2).map(({ url }) => url.split("?")[0])).toEqual([
      "/bucket/apps/one/a",
      "/bucket/a",
      "/bucket/a",
    ]);
    await s3.stop();
  });

  it("destroys on close the client that it had made, and no client that it was given", async () => {
    const s3 = await startScriptedS3([{ status: 200 }]);
    let destroyed = 0;
    const destroy = s3.client.destroy.bind(s3.client);
    s3.client.destroy = () => {
      destroyed += 1;
    };
    const options = { ...dependencies, unsafelyAllowUnconditionalWrites: true };
    await (await openCheckpointStorage("s3://bucket", { ...options, s3Client: s3.client })).close();
    expect(destroyed).toBe(0);
    await (await openCheckpointStorage("s3://bucket", { ...options, s3Client: () => s3.client })).close();
    expect(destroyed).toBe(1);
    s3.client.destroy = destroy;
    await s3.stop();
  });

  it("loads no AWS SDK before an s3: URL is opened", async () => {
    const entry = fileURLToPath(new URL("../../../shared/storage/open-storage.ts", import.meta.url));
    const options = { bundle: true, write: false, platform: "node", format: "esm", packages: "external" } as const;
    const { metafile } = await build({ ...options, entryPoints: [entry], metafile: true });
    const packages = (
      inputs: Metafile["inputs"],
      from: string,
      lazily: boolean,
      seen = new Set<string>(),
    ): string[] => {
      if (seen.has(from)) return [];
      seen.add(from);
      return (inputs[from]?.imports ?? [])
        .filter(({ kind }) => lazily || kind === "import-statement")
        .flatMap(({ path, external }) => (external ? [path] : packages(inputs, path, lazily, seen)));
    };
    const [start = ""] = Object.keys(metafile.inputs).filter((input) => input.endsWith("open-storage.ts"));
    expect(packages(metafile.inputs, start, false).filter((name) => !name.startsWith("node:"))).toEqual([]);
    expect(packages(metafile.inputs, start, true)).toContain("@aws-sdk/client-s3");
  });
});
