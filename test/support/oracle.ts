/**
 * What must be, worked out from the source alone: a sequential fold of the records at or before a position, less the
 * holes. Shares nothing with the code that it judges but the shapes of its data.
 *
 * Splits that share a key fold into it in no fixed order, so a key's list is compared split by split.
 */
import { expect } from "vitest";
import type { Manifest } from "../../shared/checkpoint/manifest.ts";
import { parseCheckpointObject } from "../../shared/checkpoint/parse-manifest.ts";
import { readPart } from "../../shared/checkpoint/part-file.ts";
import type { Hole } from "../../shared/control/hole.ts";
import { allHoles } from "../../shared/control/hole-items.ts";
import { ABSENT } from "../../shared/state/state-item.ts";
import { readWhole } from "../../shared/storage/checkpoint-storage.ts";
import { manifestPath } from "../../shared/storage/object-paths.ts";
import { at, numberAt } from "./list-source.ts";
import type { LogState, TestEvent, TestWorld } from "./test-world.ts";

/** How far a split has come, and what of it is missing. */
export interface Reached {
  /** Records that arrived earlier are no part of the fold: the user's `startFrom`. Ms since 1970. */
  readonly startTimeMs?: number;
  readonly position: string;
  readonly holes: readonly Hole[];
  /** Records after `position` that may be in the state besides, up to here. */
  readonly maybeTo?: string;
}

export type Logs = Map<string, readonly string[]>;

const within = (hole: Hole, position: string): boolean =>
  (hole.from === undefined || position >= hole.from) &&
  (hole.after === undefined || position > hole.after) &&
  (hole.to === undefined || position <= hole.to) &&
  (hole.before === undefined || position < hole.before);

interface Due {
  /** Ids that must be there, once each and in order. */
  readonly must: string[];
  /** Ids that may be there: tried, and then dropped by the source. */
  readonly may: Set<string>;
  /** An event that may be there would clear the key: nothing is sure until it is resolved. */
  open: boolean;
}

/** Per key and split: what must and what may be in the key's list. */
function dueOf(world: TestWorld, reached: ReadonlyMap<string, Reached>): Map<string, Map<string, Due>> {
  const due = new Map<string, Map<string, Due>>();
  for (const [split, { position, holes, maybeTo, startTimeMs = 0 }] of reached) {
    const arrivalTimeMs = world.source.splits.get(split)?.arrivalTimeMs ?? (() => startTimeMs);
    const values = world.source.splits.get(split)?.values ?? [];
    const last = numberAt(maybeTo ?? position);
    for (let number = 1; number <= last; number += 1) {
      const events = [values[number - 1] ?? []].flat() as Partial<TestEvent>[];
      if (arrivalTimeMs(number) < startTimeMs) continue;
      const hole = holes.find((one) => within(one, at(number)));
      for (const [index, event] of events.entries()) {
        if (event.key === undefined || event.id === undefined) continue;
        const ofKey = due.get(event.key) ?? new Map<string, Due>();
        due.set(event.key, ofKey);
        const ofSplit = ofKey.get(split) ?? { must: [], may: new Set(), open: false };
        ofKey.set(split, ofSplit);
        const isFolded = hole?.folded?.includes(index) === true;
        if (hole?.cause === "dead-letter" && !isFolded) continue;
        if ((hole !== undefined && !isFolded) || at(number) > position) {
          ofSplit.may.add(event.id);
          ofSplit.open ||= event.clear === true;
        } else if (event.clear === true) ofSplit.must.length = 0;
        else ofSplit.must.push(event.id);
      }
    }
  }
  return due;
}

const splitOfId = (id: string): string => id.replace(/\d[\d.]*$/, "");

export function expectFold(world: TestWorld, logs: Logs, reached: ReadonlyMap<string, Reached>, what: string): void {
  const due = dueOf(world, reached);
  for (const key of logs.keys()) expect(due.has(key), `${what}: key ${key} has events`).toBe(true);
  for (const [key, splits] of due) {
    const log = logs.get(key) ?? [];
    expect(new Set(log).size, `${what}: no event is twice in key ${key}: ${log.join(" ")}`).toBe(log.length);
    for (const id of log) {
      expect(splits.has(splitOfId(id)), `${what}: key ${key} holds ${id}, of a split that has not come to it`).toBe(
        true,
      );
    }
    for (const [split, { must, may, open }] of splits) {
      if (open) continue;
      const folded = log.filter((id) => splitOfId(id) === split);
      const sure = folded.filter((id) => !may.has(id));
      expect(sure, `${what}: events of split ${split} in key ${key} (all: ${log.join(" ")})`).toEqual(must);
      const inOrder = folded.toSorted((a, b) => Number(a.slice(split.length)) - Number(b.slice(split.length)));
      expect(folded, `${what}: order of split ${split} in key ${key}`).toEqual(inOrder);
    }
  }
}

/** Every key's list in the live generation. */
export async function liveLogs(world: TestWorld, functionName = "log"): Promise<Logs> {
  const { gen } = await world.control();
  const logs: Logs = new Map();
  const scope = { function: functionName, generation: gen };
  for await (const { items } of world.stores.state.scan(scope, { index: 0, count: 1 })) {
    for (const { key, state } of items) {
      if (state !== ABSENT) logs.set(key, (state.value as unknown as LogState).log);
    }
  }
  return logs;
}

async function reachedBy(world: TestWorld, functionName: string): Promise<Map<string, Reached>> {
  const reached = new Map<string, Reached>();
  for (const [split, item] of await world.items(functionName)) {
    if (split === "redrive") continue;
    const holes = await allHoles(world.stores.control, { function: functionName, split }, item);
    const { position, attemptedTo: maybeTo, startTimeMs } = item;
    reached.set(split, { position, holes, maybeTo, ...(startTimeMs === undefined ? {} : { startTimeMs }) });
  }
  return reached;
}

/** Exactly once (state): each event at or before each split's position is in its key once, holes left out. */
export async function expectExactlyOnce(world: TestWorld, functionName?: string): Promise<void> {
  for (const { name } of world.app.functions) {
    if (functionName !== undefined && name !== functionName) continue;
    expectFold(world, await liveLogs(world, name), await reachedBy(world, name), `function ${name}`);
  }
}

/** Everything of every split is resolved. */
export async function expectAllResolved(world: TestWorld): Promise<void> {
  for (const { name } of world.app.functions) {
    for (const [split, { values }] of world.source.splits) {
      const item = await world.itemOf(split, name);
      expect(item?.position, `position of split ${split} of ${name}`).toBe(at(values.length));
      expect(item?.attemptedTo).toBe(at(values.length));
    }
  }
}

export async function readManifestOf(world: TestWorld, n: number): Promise<Manifest> {
  const found = await readWhole(world.stores.storage, manifestPath(n));
  if (found === undefined) throw new Error(`there is nothing at the address of checkpoint ${n}`);
  const object = parseCheckpointObject(found.text, { app: world.app.name, n });
  if (object.kind !== "manifest") throw new Error(`checkpoint ${n} is ${object.kind}`);
  return object;
}

/** What checkpoint `n` holds, read from storage through its part files. */
export async function checkpointLogs(world: TestWorld, n: number, functionName = "log"): Promise<Logs> {
  const manifest = await readManifestOf(world, n);
  const logs: Logs = new Map();
  for (const file of manifest.files.filter((one) => one.function === functionName)) {
    for await (const { key, state } of readPart(world.stores.storage, n, file)) {
      expect(logs.has(key), `key ${key} is in checkpoint ${n} once`).toBe(false);
      logs.set(key, (state as unknown as LogState).log);
    }
  }
  return logs;
}

/** Exact cut: checkpoint `n` is the fold over exactly the records at or before its positions, less its holes. */
export async function expectCheckpointExact(world: TestWorld, n: number): Promise<void> {
  const manifest = await readManifestOf(world, n);
  for (const { name, splits, keys } of manifest.functions) {
    const logs = await checkpointLogs(world, n, name);
    expect(logs.size, `keys of ${name} that the manifest of checkpoint ${n} counts`).toBe(keys);
    const reached = new Map<string, Reached>();
    for (const { split, position, holes, startFrom = "earliest" } of splits) {
      if (split === "redrive") continue;
      const start = startFrom === "earliest" ? {} : { startTimeMs: Date.parse(startFrom) };
      reached.set(split, { position, holes, ...start });
    }
    expectFold(world, logs, reached, `checkpoint ${n}, function ${name}`);
  }
}

/** One live generation, in which control and every split run. */
export async function expectOneLiveGeneration(world: TestWorld, generation?: number): Promise<void> {
  const control = await world.control();
  expect(control).toMatchObject({ phase: "RUNNING", gen: control.maxGen });
  if (generation !== undefined) expect(control.gen).toBe(generation);
  for (const { name } of world.app.functions) {
    for (const [split, item] of await world.items(name)) {
      expect(item, `split ${split} of ${name}`).toMatchObject({ phase: "RUNNING", gen: control.gen });
    }
  }
}

/** The checkpoints that completed, by what stands at their addresses. */
export async function completedCheckpoints(world: TestWorld): Promise<number[]> {
  const completed: number[] = [];
  const { epoch } = await world.control();
  for (let n = 1; n <= epoch; n += 1) {
    const found = await readWhole(world.stores.storage, manifestPath(n));
    if (found !== undefined && (JSON.parse(found.text) as { kind: string }).kind === "manifest") completed.push(n);
  }
  return completed;
}

/** All three promises at once. */
export async function expectPromise(world: TestWorld): Promise<void> {
  await expectExactlyOnce(world);
  await expectOneLiveGeneration(world);
  for (const n of await completedCheckpoints(world)) await expectCheckpointExact(world, n);
}
