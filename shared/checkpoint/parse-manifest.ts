/**
 * Reads back what stands at a checkpoint's address, strictly: whatever a restore relies on is checked here, and every
 * refusal is a TidemarkError of kind `choose-another-checkpoint` that says what is wrong and what to do. Members that
 * this code does not know are let through: a later code of the same format may add some.
 */

import type { Hole } from "../control/hole.ts";
import { TidemarkError } from "../errors.ts";
import { type CheckpointStorage, readWhole } from "../storage/checkpoint-storage.ts";
import { checkpointFolder, manifestPath, partPath } from "../storage/object-paths.ts";
import { holdsSeal } from "../storage/sealed-json.ts";
import {
  type CheckpointObject,
  EARLIEST,
  MANIFEST_FORMAT,
  MANIFEST_FORMAT_VERSION,
  type Manifest,
  type ManifestFailing,
  type ManifestFile,
  type ManifestFunction,
  type ManifestSplit,
} from "./manifest.ts";

/** Which object is expected: a copy from elsewhere is refused. */
export interface ManifestPlace {
  readonly app: string;
  readonly n: number;
}

/** Thrown inside, and explained once with the checkpoint's number. */
class Flaw extends Error {}

const SHA256 = /^[0-9a-f]{64}$/;

type Members = { readonly [name: string]: unknown };

function members(given: unknown, what: string): Members {
  if (typeof given !== "object" || given === null || Array.isArray(given)) throw new Flaw(`${what} is not an object`);
  return given as Members;
}

function list<Item>(from: Members, name: string, what: string, read: (item: unknown, what: string) => Item): Item[] {
  const given = from[name];
  if (!Array.isArray(given)) throw new Flaw(`${what}.${name} is not a list`);
  return given.map((item, index) => read(item, `${what}.${name}[${index}]`));
}

function text(from: Members, name: string, what: string): string {
  const given = from[name];
  if (typeof given !== "string") throw new Flaw(`${what}.${name} is not a string`);
  return given;
}

function count(from: Members, name: string, what: string, least = 0): number {
  const given = from[name];
  if (typeof given !== "number" || !Number.isSafeInteger(given) || given < least) {
    throw new Flaw(`${what}.${name} is not a whole number of at least ${least}`);
  }
  return given;
}

function time(from: Members, name: string, what: string): string {
  const given = text(from, name, what);
  if (Number.isNaN(Date.parse(given))) throw new Flaw(`${what}.${name} is not a time`);
  return given;
}

const HOLE_BOUNDS = ["from", "after", "to", "before"];

function hole(given: unknown, what: string): Hole {
  const from = members(given, what);
  const cause = from.cause;
  if (cause !== "dead-letter" && cause !== "dropped" && cause !== "expired") throw new Flaw(`${what}.cause is unknown`);
  for (const bound of HOLE_BOUNDS) if (from[bound] !== undefined) text(from, bound, what);
  if (from.records !== undefined) count(from, "records", what);
  if (from.folded !== undefined) list(from, "folded", what, (item, name) => count({ item }, "item", name));
  return from as unknown as Hole;
}

function split(given: unknown, what: string): ManifestSplit {
  const from = members(given, what);
  if (typeof from.ended !== "boolean") throw new Flaw(`${what}.ended is not true or false`);
  return {
    split: text(from, "split", what),
    position: text(from, "position", what),
    freshAt: time(from, "freshAt", what),
    ...(from.startFrom === undefined
      ? {}
      : { startFrom: from.startFrom === EARLIEST ? EARLIEST : time(from, "startFrom", what) }),
    ended: from.ended,
    ...(from.takenBy === undefined ? {} : { takenBy: list(from, "takenBy", what, version) }),
    ...(from.failing === undefined ? {} : { failing: failing(from.failing, `${what}.failing`) }),
    holes: list(from, "holes", what, hole),
  };
}

function version(given: unknown, what: string): string {
  if (typeof given !== "string") throw new Flaw(`${what} is not a string`);
  return given;
}

function failing(given: unknown, what: string): ManifestFailing {
  const from = members(given, what);
  if (from.stopped !== undefined && from.stopped !== true) throw new Flaw(`${what}.stopped is not true`);
  const known = { position: text(from, "position", what), since: time(from, "since", what) };
  return from.stopped === true ? { ...known, stopped: true } : known;
}

function functionOf(given: unknown, what: string): ManifestFunction {
  const from = members(given, what);
  return {
    name: text(from, "name", what),
    stateVersion: count(from, "stateVersion", what, 1),
    source: text(from, "source", what),
    keys: count(from, "keys", what),
    splits: list(from, "splits", what, split),
  };
}

function file(given: unknown, what: string, n: number): ManifestFile {
  const from = members(given, what);
  const sha256 = text(from, "sha256", what);
  if (!SHA256.test(sha256)) throw new Flaw(`${what}.sha256 is not a SHA-256 in hexadecimal`);
  const name = text(from, "name", what);
  partPath(n, name);
  return {
    name,
    function: text(from, "function", what),
    items: count(from, "items", what),
    bytes: count(from, "bytes", what),
    sha256,
  };
}

function checkpointObject(json: unknown, place: ManifestPlace): CheckpointObject {
  const from = members(json, "it");
  if (!holdsSeal(from)) throw new Flaw("its checksum is another, so it was altered");
  if (from.format !== MANIFEST_FORMAT) throw new Flaw("it is not a manifest of Tidemark");
  const formatVersion = count(from, "formatVersion", "it", 1);
  if (formatVersion > MANIFEST_FORMAT_VERSION) {
    throw new Flaw(
      `it is of format version ${formatVersion}, and this code reads versions up to ${MANIFEST_FORMAT_VERSION}; use the newer Tidemark that wrote it`,
    );
  }
  const app = text(from, "app", "it");
  if (app !== place.app) throw new Flaw(`it is of the app ${JSON.stringify(app)}, not of ${JSON.stringify(place.app)}`);
  const checkpoint = count(from, "checkpoint", "it", 1);
  if (checkpoint !== place.n) throw new Flaw(`it says that it is checkpoint ${checkpoint}: it was copied here`);
  const common: CommonMembers = {
    format: MANIFEST_FORMAT,
    formatVersion: MANIFEST_FORMAT_VERSION,
    app,
    checkpoint,
    token: text(from, "token", "it"),
    generation: count(from, "generation", "it", 1),
  };
  switch (from.kind) {
    case "aborted":
      return { kind: "aborted", ...common, reason: text(from, "reason", "it"), at: time(from, "at", "it") };
    case "deleted":
      return {
        kind: "deleted",
        ...common,
        at: time(from, "at", "it"),
        completedAt: time(from, "completedAt", "it"),
        ...(from.functions === undefined ? {} : { functions: list(from, "functions", "it", functionOf) }),
      };
    case "manifest":
      return manifest(from, common);
    default:
      throw new Flaw(`its kind is ${JSON.stringify(from.kind)}, none that this code knows`);
  }
}

type CommonMembers = Pick<CheckpointObject, "format" | "formatVersion" | "app" | "checkpoint" | "token" | "generation">;

function manifest(from: Members, common: CommonMembers): Manifest {
  const mode = from.mode;
  if (mode !== "exactly-once" && mode !== "at-least-once") throw new Flaw("it.mode is none that this code knows");
  const functions = list(from, "functions", "it", functionOf);
  const files = list(from, "files", "it", (item, what) => file(item, what, common.checkpoint));
  checkAgainstEachOther(functions, files);
  for (const { name, keys } of functions) {
    const items = files.reduce((sum, one) => sum + (one.function === name ? one.items : 0), 0);
    if (items !== keys) throw new Flaw(`its files hold ${items} keys of ${name}, and it counts ${keys}`);
  }
  return {
    kind: "manifest",
    ...common,
    ...(from.restoredFrom === undefined ? {} : { restoredFrom: lineage(from.restoredFrom) }),
    mode,
    ...(from.savepoint === undefined ? {} : { savepoint: text(from, "savepoint", "it") }),
    triggeredAt: time(from, "triggeredAt", "it"),
    completedAt: time(from, "completedAt", "it"),
    functions,
    files,
  };
}

/** What each list says alone may be right, and cannot be together with the rest. */
function checkAgainstEachOther(functions: readonly ManifestFunction[], files: readonly ManifestFile[]): void {
  const names = new Set(functions.map(({ name }) => name));
  if (names.size !== functions.length) throw new Flaw("it names a function twice");
  if (new Set(files.map((one) => one.name)).size !== files.length) throw new Flaw("it names a file twice");
  const stray = files.find((one) => !names.has(one.function));
  if (stray !== undefined) throw new Flaw(`its file ${stray.name} is of ${stray.function}, which it does not name`);
  for (const { name, splits } of functions) {
    if (new Set(splits.map((one) => one.split)).size !== splits.length) {
      throw new Flaw(`it names a split of ${name} twice`);
    }
    for (const { split, position, holes } of splits) checkHoles(`split ${split} of ${name}`, position, holes);
  }
}

/** Holes are stretches before the cut, one after the other. */
function checkHoles(where: string, position: string, holes: readonly Hole[]): void {
  let reached = "";
  for (const { from, after, to, before } of holes) {
    const start = from ?? after ?? "";
    const end = to ?? before ?? position;
    if (start < reached || end < start || end > position) {
      throw new Flaw(`a hole of ${where} does not lie before its position, behind the hole before it`);
    }
    reached = end;
  }
}

function lineage(given: unknown): { readonly generation: number; readonly checkpoint: number } {
  const from = members(given, "it.restoredFrom");
  return {
    generation: count(from, "generation", "it.restoredFrom", 1),
    checkpoint: count(from, "checkpoint", "it.restoredFrom", 1),
  };
}

/**
 * The manifest or marker of checkpoint `place.n`.
 * @throws TidemarkError `choose-another-checkpoint` for what was cut short, altered, copied, of another app, or newer.
 */
export function parseCheckpointObject(content: string, place: ManifestPlace): CheckpointObject {
  try {
    return checkpointObject(json(content), place);
  } catch (thrown) {
    if (!(thrown instanceof Flaw)) throw thrown;
    throw unusable(place.n, `its manifest cannot be used: ${thrown.message}`, thrown);
  }
}

function json(content: string): unknown {
  try {
    return JSON.parse(content);
  } catch (cause) {
    throw new Flaw(`it is not JSON (cut short after ${content.length} characters, or not a manifest)`, { cause });
  }
}

function unusable(n: number, why: string, cause?: unknown): TidemarkError {
  return new TidemarkError(
    "choose-another-checkpoint",
    `Checkpoint ${n} cannot be restored: ${why}. Choose another checkpoint; \`tidemark checkpoints\` lists them.`,
    { cause },
  );
}

/**
 * The manifest of checkpoint `place.n`.
 * @throws TidemarkError `choose-another-checkpoint` for the marker of an aborted or deleted checkpoint as well.
 */
export function parseManifest(content: string, place: ManifestPlace): Manifest {
  const object = parseCheckpointObject(content, place);
  if (object.kind === "aborted") throw unusable(place.n, `it was aborted at ${object.at} (${object.reason})`);
  if (object.kind === "deleted") throw unusable(place.n, `retention deleted it at ${object.at}`);
  return object;
}

/** What stands at a checkpoint's address, with its version for `replace`; undefined: nothing. One GET. */
export async function readCheckpointObject(
  storage: CheckpointStorage,
  place: ManifestPlace,
): Promise<{ readonly object: CheckpointObject; readonly version: string } | undefined> {
  const found = await readWhole(storage, manifestPath(place.n));
  return found && { object: parseCheckpointObject(found.text, place), version: found.version };
}

/** {@link readCheckpointObject}; undefined also where what stands there cannot be used. */
export async function readUsableObject(
  storage: CheckpointStorage,
  place: ManifestPlace,
): Promise<{ readonly object: CheckpointObject; readonly version: string } | undefined> {
  try {
    return await readCheckpointObject(storage, place);
  } catch (thrown) {
    if (thrown instanceof TidemarkError && thrown.kind === "choose-another-checkpoint") return undefined;
    throw thrown;
  }
}

/**
 * The manifest of a checkpoint from storage. One GET.
 * @throws TidemarkError `choose-another-checkpoint` when there is none.
 */
export async function readManifest(storage: CheckpointStorage, place: ManifestPlace): Promise<Manifest> {
  const found = await readWhole(storage, manifestPath(place.n));
  if (found !== undefined) return parseManifest(found.text, place);
  throw unusable(
    place.n,
    `there is no manifest at ${checkpointFolder(place.n)} in ${storage.url}: the checkpoint never completed, or never was`,
  );
}
