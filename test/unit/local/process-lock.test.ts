import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openHome } from "../../../local/home.ts";
import { identityOf, isRunning } from "../../../local/process-identity.ts";
import { lockHolder, takeLock } from "../../../local/process-lock.ts";

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "tidemark-lock-"));
  file = path.join(folder, "run.lock");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** The identity of a process that has ended. */
function deadIdentity(): { readonly pid: number; readonly startedAt: string } {
  return { pid: spawnSync(process.execPath, ["-e", ""]).pid, startedAt: "1" };
}

describe("a lock between processes", () => {
  test("is refused while it is held, naming the holder, and free once released", () => {
    const lock = takeLock(file);
    if (!("release" in lock)) throw new Error("not taken");
    expect(takeLock(file)).toEqual({ heldBy: identityOf(process.pid) });
    expect(lockHolder(file)?.pid).toBe(process.pid);
    lock.release();
    expect(lockHolder(file)).toBeUndefined();
    expect("release" in takeLock(file)).toBe(true);
  });

  test("of a dead process is taken over", () => {
    writeFileSync(`${file}.7`, JSON.stringify(deadIdentity()));
    expect(lockHolder(file)).toBeUndefined();
    expect("release" in takeLock(file)).toBe(true);
    expect(readdirSync(folder)).toEqual(["run.lock.8"]);
  });

  test("of a dead process whose pid another one has now is taken over", () => {
    writeFileSync(`${file}.1`, JSON.stringify({ pid: process.ppid, startedAt: "1" }));
    expect("release" in takeLock(file)).toBe(true);
  });

  test("that a slow taker makes after a higher one exists gives way to it", () => {
    const lock = takeLock(file);
    expect("release" in lock).toBe(true);
    // What a process leaves that had seen number 0, and stalled, while number 1 was taken and another followed.
    writeFileSync(`${file}.3`, JSON.stringify(identityOf(process.ppid)));
    expect(takeLock(file)).toMatchObject({ heldBy: { pid: process.ppid } });
  });

  test("has one winner among processes that race for that of a dead one", async () => {
    writeFileSync(`${file}.1`, JSON.stringify(deadIdentity()));
    const script = `
      import { takeLock } from ${JSON.stringify(path.resolve("local/process-lock.ts"))};
      process.stdout.write("release" in takeLock(${JSON.stringify(file)}) ? "won " : "lost ");
      process.stdin.resume(); process.stdin.on("end", () => process.exit(0));`;
    writeFileSync(path.join(folder, "racer.mts"), script);
    const jiti = path.resolve("node_modules/jiti/lib/jiti-register.mjs");
    const racers = Array.from({ length: 4 }, () =>
      spawn(process.execPath, ["--import", jiti, path.join(folder, "racer.mts")], {
        stdio: ["pipe", "pipe", "inherit"],
      }),
    );
    const said = await Promise.all(
      racers.map(
        (racer) => new Promise<string>((resolve) => racer.stdout.once("data", (data) => resolve(String(data)))),
      ),
    );
    for (const racer of racers) racer.stdin.end();
    expect(said.filter((text) => text === "won ")).toHaveLength(1);
  });
});

describe("a home", () => {
  test("refuses a second run and names the pid of the first", () => {
    const home = openHome(folder);
    const lock = home.lockRun();
    expect(() => home.lockRun()).toThrow(`Another run (pid ${process.pid}) works on the home ${folder}`);
    lock.release();
    home.lockRun().release();
  });
});

describe("a process", () => {
  test("that has ended does not run, this one does", () => {
    expect(isRunning(deadIdentity())).toBe(false);
    expect(isRunning(identityOf(process.pid))).toBe(true);
  });
});
