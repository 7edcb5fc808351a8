import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock, systemRandomness } from "../../../shared/environment.ts";
import { readWhole } from "../../../shared/storage/checkpoint-storage.ts";
import { explainFileError } from "../../../shared/storage/file/explain-file-error.ts";
import { FileCheckpointStorage } from "../../../shared/storage/file/file-storage.ts";

describe("file checkpoint storage", () => {
  let root: string;
  let storage: FileCheckpointStorage;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), "tidemark-file-"));
    storage = new FileCheckpointStorage({ root, url: "file:///x", clock: systemClock, randomness: systemRandomness });
    await storage.probe();
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  async function replaceWith(text: string): Promise<void> {
    const version = (await readWhole(storage, "chk-1/manifest.json"))?.version ?? "";
    expect(await storage.replace("chk-1/manifest.json", Buffer.from(text), version)).toBe("replaced");
  }

  it("shows people who look into the folder plain files, with the newest content", async () => {
    await storage.createExclusively("chk-1/manifest.json", Buffer.from("completed"));
    expect(await readdir(join(root, "chk-1"))).toEqual(["manifest.json"]);
    await replaceWith("deleted");
    expect(await readFile(join(root, "chk-1/manifest.json"), "utf8")).toBe("deleted");
    expect(await readdir(join(root, ".tmp"))).toEqual([]);
  });

  it("keeps a replacement whose process died before it could show it", async () => {
    await storage.createExclusively("chk-1/manifest.json", Buffer.from("completed"));
    await replaceWith("deleted");
    // What such a process leaves: the next version claimed, and the file of the object's own name as it was.
    await rm(join(root, "chk-1/manifest.json"));
    await writeFile(join(root, "chk-1/manifest.json"), "completed");
    expect((await readWhole(storage, "chk-1/manifest.json"))?.text).toBe("deleted");
    expect(await storage.createExclusively("chk-1/manifest.json", Buffer.from("again"))).toBe("exists");
    await replaceWith("deleted twice");
    expect(await readFile(join(root, "chk-1/manifest.json"), "utf8")).toBe("deleted twice");
  });

  it("keeps a removal of a replaced object whose process died before it took the file away", async () => {
    await storage.createExclusively("chk-1/manifest.json", Buffer.from("completed"));
    await replaceWith("deleted");
    await storage.remove("chk-1/manifest.json");
    await writeFile(join(root, "chk-1/manifest.json"), "deleted");
    expect(await storage.read("chk-1/manifest.json")).toBeUndefined();
    for await (const { path } of storage.list("")) expect.unreachable(`listed ${path}`);
    expect(await storage.createExclusively("chk-1/manifest.json", Buffer.from("anew"))).toBe("created");
    expect((await readWhole(storage, "chk-1/manifest.json"))?.text).toBe("anew");
  });

  it("tells large objects apart that differ only in what follows their first 64 KB", async () => {
    async function* body(end: string): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(128 * 1024);
      yield Buffer.from(end);
    }
    await storage.write("a", body("one"));
    const version = (await readWhole(storage, "a"))?.version ?? "";
    await storage.write("a", body("two"));
    expect(await storage.replace("a", Buffer.from("three"), version)).toBe("changed");
    const newest = (await readWhole(storage, "a"))?.version ?? "";
    expect(await storage.replace("a", Buffer.from("three"), newest)).toBe("replaced");
  });

  it.each(["../a", "/a", "a//b", ".tmp/a", "a/.b", ""])("refuses %j as the path of an object", async (path) => {
    await expect(storage.createExclusively(path, Buffer.from("x"))).rejects.toMatchObject({ kind: "report-bug" });
  });

  it("says that the name is too long", async () => {
    await expect(storage.createExclusively("a".repeat(300), Buffer.from("x"))).rejects.toMatchObject({
      kind: "fix-configuration",
      message: expect.stringContaining("shorter names"),
    });
  });

  it("says that it may not write, and keeps nothing, when the user has no permission", async () => {
    await chmod(root, 0o555);
    await chmod(join(root, ".tmp"), 0o555);
    const refused = { kind: "fix-configuration", message: expect.stringContaining("Permission was denied") };
    // The superuser may write everywhere, so where the tests run as root they act as nobody for a while.
    const superuser = process.geteuid?.() === 0;
    try {
      if (superuser) process.seteuid?.(65534);
      await expect(storage.probe()).rejects.toMatchObject(refused);
      await expect(storage.createExclusively("chk-1/a", Buffer.from("x"))).rejects.toMatchObject(refused);
      await expect(storage.createExclusively("a", Buffer.from("x"))).rejects.toMatchObject(refused);
    } finally {
      if (superuser) process.seteuid?.(0);
      await chmod(root, 0o755);
      await chmod(join(root, ".tmp"), 0o755);
    }
    expect(await readdir(root)).toEqual([".tmp"]);
  });

  it.each([
    [{ code: "ENOSPC", syscall: "write" }, /disk is full\. Nothing of it was kept\. Free space/],
    [{ code: "EDQUOT", syscall: "write" }, /quota/],
    [{ code: "EACCES", syscall: "open" }, /Permission was denied\. Give this process's user permission/],
    [{ code: "EROFS", syscall: "mkdir" }, /read-only/],
    [{ code: "EPERM", syscall: "link" }, /no hard links.*ext4/],
    [{ code: "EXDEV", syscall: "link" }, /several file systems/],
  ])("explains %j as a matter of the folder", (fields, message) => {
    const thrown = Object.assign(new Error("refused"), fields);
    const explained = explainFileError(thrown, { action: "write", root: "/data", path: "chk-1/part" });
    expect(explained).toMatchObject({ kind: "fix-configuration", cause: thrown });
    expect(explained.message).toMatch(message);
    expect(explained.message).toContain("write chk-1/part in the checkpoint storage folder /data");
  });

  it.each(["EMFILE", "EIO", "EBUSY"])("asks for a retry on %s", (code) => {
    const thrown = Object.assign(new Error("refused"), { code });
    expect(explainFileError(thrown, { action: "read", root: "/data" }).kind).toBe("retry");
  });
});
