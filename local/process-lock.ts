/**
 * A lock between processes of one machine, kept in files, that a killed holder cannot leave locked.
 *
 * Invariants:
 * - A lock is a row of numbered files, `<path>.<n>`; the holder of the highest one holds the lock while it runs and has
 *   not released it. Each is made by link(2), which is exclusive: a number has one holder for ever.
 * - Nobody removes the highest file, and a file is removed only by the holder of a higher one. So whoever was slow, and
 *   makes a number that was removed meanwhile, sees a higher one when it looks again, and gives way.
 * - A file says which file it is (device and inode), and where it was made. One that says neither right is a copy, whose
 *   holder holds the original: a folder that was copied while in use is free. One that was moved is still held.
 */
import { randomBytes } from "node:crypto";
import {
  closeSync,
  fstatSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { isRunning, ownIdentity, type ProcessIdentity } from "./process-identity.ts";

interface Holder extends ProcessIdentity {
  readonly released?: boolean;
  /** Which file it is, `<device>:<inode>`; absent in files of older versions. */
  readonly file?: string;
  /** The folder that it was made in. */
  readonly folder?: string;
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
      if (holder !== undefined && holds(file, highest, holder)) return { heldBy: identityIn(holder) };
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
  return holder !== undefined && holder !== "gone" && holds(file, highest, holder) ? identityIn(holder) : undefined;
}

function identityIn({ pid, startedAt }: Holder): ProcessIdentity {
  return startedAt === undefined ? { pid } : { pid, startedAt };
}

function holds(file: string, n: number, holder: Holder): boolean {
  if (holder.released === true || isCopy(file, n, holder)) return false;
  return holder.pid === process.pid ? held.has(numbered(file, n)) : isRunning(holder);
}

function release(file: string, n: number): void {
  // The file stays, as released: removing the highest one would let two others both think that they are first.
  if (!held.delete(numbered(file, n))) return;
  replace(numbered(file, n), { ...ownIdentity(), released: true });
}

/** Where either is right it is held: some file systems number a file anew, and a folder may be moved. */
function isCopy(file: string, n: number, { file: made, folder }: Holder): boolean {
  if (made === undefined || folder === undefined) return false;
  try {
    const { dev, ino } = statSync(numbered(file, n), { bigint: true });
    return made !== `${dev}:${ino}` && folder !== realpathSync(path.dirname(file));
  } catch {
    return false;
  }
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
  const made = openSync(draft, "wx", 0o600);
  try {
    const { dev, ino } = fstatSync(made, { bigint: true });
    const folder = realpathSync(path.dirname(file));
    writeFileSync(made, JSON.stringify({ ...ownIdentity(), file: `${dev}:${ino}`, folder } satisfies Holder));
  } finally {
    closeSync(made);
  }
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
