import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openHome } from "../../../local/home.ts";

let folder: string;
let root: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "tidemark-privacy-"));
  chmodSync(folder, 0o755);
  root = path.join(folder, "home");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const modeOf = (...at: string[]): string => (statSync(path.join(root, ...at)).mode & 0o7777).toString(8);

describe("a home", () => {
  test.each([0o000, 0o022, 0o277])("is made for its owner alone under a umask of %o", (umask) => {
    const before = process.umask(umask);
    try {
      expect(openHome(root).keepPrivate()).toBeUndefined();
    } finally {
      process.umask(before);
    }
    expect(modeOf()).toBe("700");
  });

  test("that is open to others is closed, with all that is in it, and links are left alone", () => {
    mkdirSync(path.join(root, "checkpoints", "chk-1"), { recursive: true, mode: 0o777 });
    const outside = path.join(folder, "outside");
    writeFileSync(outside, "", { mode: 0o644 });
    symlinkSync(outside, path.join(root, "link"));
    for (const file of ["settings.json", "checkpoints/chk-1/manifest.json"]) writeFileSync(path.join(root, file), "{}");
    chmodSync(root, 0o755);
    expect(openHome(root).keepPrivate()).toEqual({ mode: "755" });
    expect([modeOf(), modeOf("checkpoints", "chk-1"), modeOf("settings.json")]).toEqual(["700", "700", "600"]);
    expect(modeOf("checkpoints", "chk-1", "manifest.json")).toBe("600");
    expect(statSync(outside).mode & 0o777).toBe(0o644);
    expect(openHome(root).keepPrivate()).toBeUndefined();
  });

  test("in a folder of other things that is open to others is refused, and nothing is changed", () => {
    mkdirSync(root, { mode: 0o755 });
    writeFileSync(path.join(root, "package.json"), "{}");
    expect(() => openHome(root).keepPrivate()).toThrow(/open to other users \(mode 755\) and holds other things/);
    expect(modeOf()).toBe("755");
  });

  test("in a folder that all users share is refused", () => {
    mkdirSync(root);
    chmodSync(root, 0o1777);
    expect(() => openHome(root).keepPrivate()).toThrow("Give a folder of its own");
    expect(modeOf()).toBe("1777");
  });

  test("that is a file is refused", () => {
    writeFileSync(root, "");
    expect(() => openHome(root).keepPrivate()).toThrow("is a file, and a home is a folder");
  });

  test.each(["", "  "])("of the name %j is refused", (name) => {
    expect(() => openHome(name)).toThrow(/it must be a folder/);
  });

  // Another user can be played by root alone.
  test.runIf(process.getuid?.() === 0)("of another user that is open to all is refused", () => {
    mkdirSync(root, { mode: 0o755 });
    writeFileSync(path.join(root, "settings.json"), "{}");
    chownSync(root, 65533, 65533);
    const script = `import { openHome } from ${JSON.stringify(path.resolve("local/home.ts"))};
      try { openHome(${JSON.stringify(root)}).keepPrivate(); } catch (thrown) { console.log(thrown.message); }`;
    const file = path.join(folder, "look.mts");
    writeFileSync(file, script, { mode: 0o644 });
    const jiti = path.resolve("node_modules/jiti/lib/jiti-register.mjs");
    const { stdout } = spawnSync(process.execPath, ["--import", jiti, file], {
      ...{ encoding: "utf8", uid: 65534, gid: 65534, cwd: folder },
      env: { ...process.env, JITI_FS_CACHE: "false" },
    });
    expect(stdout).toContain("cannot be closed");
  });
});

describe("a home that was copied while in use", () => {
  test("is free, and has no DynamoDB of its own, while the original is held", () => {
    const original = openHome(root);
    original.keepPrivate();
    const lock = original.lockRun();
    original.writeDynamoDBAddress({ pid: process.pid, port: 1 });
    const copied = path.join(folder, "copy");
    cpSync(root, copied, { recursive: true });
    const copy = openHome(copied);
    expect(copy.liveRun()).toBeUndefined();
    expect(copy.liveDynamoDB()).toBeUndefined();
    const second = copy.lockRun();
    expect(original.liveRun()?.pid).toBe(process.pid);
    expect(() => original.lockRun()).toThrow(`Another run (pid ${process.pid}) works on the home ${root}`);
    second.release();
    lock.release();
  });

  test("is told from one that was moved, which is still held", async () => {
    const script = `import { openHome } from ${JSON.stringify(path.resolve("local/home.ts"))};
      const home = openHome(${JSON.stringify(root)});
      home.keepPrivate();
      home.lockRun();
      console.log("held");
      process.stdin.resume();`;
    const file = path.join(folder, "hold.mts");
    writeFileSync(file, script);
    const holder = spawn(process.execPath, ["--import", path.resolve("node_modules/jiti/lib/jiti-register.mjs"), file]);
    try {
      await once(holder.stdout, "data");
      const moved = path.join(folder, "moved");
      renameSync(root, moved);
      expect(openHome(moved).liveRun()?.pid).toBe(holder.pid);
      const copied = path.join(folder, "copied");
      cpSync(moved, copied, { recursive: true });
      expect(openHome(copied).liveRun()).toBeUndefined();
    } finally {
      holder.kill("SIGKILL");
    }
  });
});
