/**
 * A lock between processes of one machine, kept in files, that a killed holder cannot leave locked.
 *
 * Invariants:
 * - A lock is a row of numbered files, `<path>.<n>`; the holder of the highest one holds the lock while it runs and has
 *   not released it. Each is made by link(2), which is exclusive: a number has one holder for ever.
 * - Nobody removes the highest file, and a file is removed only by the holder of a higher one. So whoever was slow, and
 *   makes a number that was removed meanwhile, sees a higher one when it looks again, and gives way.
 */
import { randomBytes } from "node:crypto";
import { linkSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { isRunning, ownIdentity, type ProcessIdentity } from "./process-identity.ts";

interface Holder extends ProcessIdentity {
  readonly released?: boolean;
}

export interface ProcessLock {
  /** Lets the next process in at once; without it the end of this process does. */
  release(): void;
}

export type LockAnswer = ProcessLock | { readonly heldBy: ProcessIdentity };

/** Numbers that this very process holds: it runs, so its pid alone would not tell an engine from the next one. */
const held = new Set<string>();

/** Takes the lock, or says which running process has it. Costs a few file operations; never waits. */
export function takeLock(file: string): LockAnswer {
  mkdirSync(path.dirname(file), { recursive: true });
  for (;;) {
    const highest = highestOf(file);
    if (highest > 0) {
      const holder = holderOf(file, highest);
      if (holder === "gone") continue;
      if (holder !== undefined && holds(file, highest, holder)) return { heldBy: holder };
    }
    const mine = highest + 1;
    if (!create(file, mine)) continue;
    if (highestOf(file) !== mine) {
      rmSync(numbered(file, mine), { force: true });
      continue;
    }
    for (const older of numbersOf(file)) if (older < mine) rmSync(numbered(file, older), { force: true });
    held.add(numbered(file, mine));
    return { release: () => release(file, mine) };
  }
}

/** The running process that holds the lock, if one does. */
export function lockHolder(file: string): ProcessIdentity | undefined {
  const highest = highestOf(file);
  if (highest === 0) return undefined;
  const holder = holderOf(file, highest);
  return holder !== undefined && holder !== "gone" && holds(file, highest, holder) ? holder : undefined;
}

function holds(file: string, n: number, holder: Holder): boolean {
  if (holder.released === true) return false;
  return holder.pid === process.pid ? held.has(numbered(file, n)) : isRunning(holder);
}

function release(file: string, n: number): void {
  // The file stays, as released: removing the highest one would let two others both think that they are first.
  if (!held.delete(numbered(file, n))) return;
  replace(numbered(file, n), { ...ownIdentity(), released: true });
}

const numbered = (file: string, n: number): string => path.resolve(`${file}.${n}`);

function numbersOf(file: string): number[] {
  const prefix = `${path.basename(file)}.`;
  let names: string[];
  try {
    names = readdirSync(path.dirname(file));
  } catch {
    return [];
  }
  return names
    .filter((name) => name.startsWith(prefix) && /^[1-9]\d*$/.test(name.slice(prefix.length)))
    .map((name) => Number(name.slice(prefix.length)));
}

const highestOf = (file: string): number => Math.max(0, ...numbersOf(file));

/** Undefined: the file says nothing (it is written whole, so it was altered): nobody holds it. */
function holderOf(file: string, n: number): Holder | undefined | "gone" {
  try {
    return JSON.parse(readFileSync(numbered(file, n), "utf8")) as Holder;
  } catch (thrown) {
    return thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT" ? "gone" : undefined;
  }
}

function create(file: string, n: number): boolean {
  const draft = `${file}.draft-${randomBytes(8).toString("hex")}`;
  writeFileSync(draft, JSON.stringify(ownIdentity()), { mode: 0o600 });
  try {
    linkSync(draft, numbered(file, n));
    return true;
  } catch (thrown) {
    if (thrown instanceof Error && "code" in thrown && thrown.code === "EEXIST") return false;
    throw thrown;
  } finally {
    rmSync(draft, { force: true });
  }
}

function replace(file: string, holder: Holder): void {
  const draft = `${file}.draft-${randomBytes(8).toString("hex")}`;
  try {
    writeFileSync(draft, JSON.stringify(holder), { mode: 0o600 });
    renameSync(draft, file);
  } catch {
    // The home was removed meanwhile: then there is nothing left to hold.
    rmSync(draft, { force: true });
  }
}
