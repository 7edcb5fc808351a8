/**
 * The judgement of a history: what was written so far, and what stands at its end, against the fold over the source's
 * log of events. It looks at the stores, the source and the watcher alone, never at what a process says.
 */

import type { Hole } from "../../shared/control/hole.ts";
import { allHoles } from "../../shared/control/hole-items.ts";
import { deathsBeforeHandle, type Split } from "../../shared/control/split.ts";
import { REDRIVE_SPLIT } from "../../shared/dead-letter/redrive-letter.ts";
import { ABSENT } from "../../shared/state/state-item.ts";
import { flawOfFold, holeAt, type Reached } from "./fold-oracle.ts";
import { REFUSES_ALL } from "./invocations.ts";
import type { Addressed } from "./monitor.ts";
import type { Process } from "./process.ts";
import { idsIn } from "./recording-function.ts";
import type { Scene } from "./scene.ts";
import { at, eventsOf, numberAt, recordOf, type SimulatedEvent, type SimulatedSplit } from "./simulated-source.ts";
import { promise } from "./violation.ts";

export class Judge {
  readonly #scene: Scene;
  /** Manifests that were committed, to be read once their writer has done. */
  readonly #unread: [number, Addressed][] = [];
  /** Which processes handed a record to the user's code alone and have written nothing of its split since. */
  readonly #inside = new Map<string, Set<Process>>();
  /** How many of them may have died of the record when its split's last batch began: what that batch goes by. */
  readonly #deaths = new Map<string, number>();
  /** What the source had forgotten before a split was born was never seen by anybody. */
  readonly #unseen = new Map<string, number>();

  /**
   * Records that were given up for deaths before `handle`, without another look at them: who folded one before anybody was
   * marked is not told of it (docs/protocol.md §4). It may be in the state, and twice once it is put back.
   */
  readonly #unlooked = new Set<string>();

  constructor(scene: Scene) {
    this.#scene = scene;
    scene.monitor.committed = (n, manifest) => void this.#unread.push([n, manifest]);
    scene.monitor.onSplit.push((name, split, before) => this.#splitWritten(name, split, before));
  }

  /** At rest, when nothing goes wrong any more: all was delivered, and is folded. @throws Violation */
  async judge(): Promise<void> {
    const control = this.#scene.monitor.known;
    promise(control === undefined || (control.phase === "RUNNING" && control.gen === control.maxGen), () => {
      return `control is ${control?.phase} in generation ${control?.gen} of ${control?.maxGen}`;
    });
    const reached = new Map<string, Reached>();
    for (const { split, events, arrived, expired } of this.#scene.source.splits.values()) {
      if (arrived === 0) continue;
      const item = this.#scene.monitor.splits.get(split);
      // What the source has dropped is noted by the next batch or checkpoint.
      const dropped = expired === events.length;
      if (item === undefined && dropped) continue;
      const isAtEnd = item?.position === at(events.length) && item.position === item.attemptedTo;
      promise(item !== undefined && (isAtEnd || dropped), () => {
        return `all of split ${split} was delivered, and it stands at ${item?.position} (tried to ${item?.attemptedTo}) of ${at(events.length)}`;
      });
      promise(item.phase === "RUNNING" && item.gen === control?.gen, () => {
        return `split ${split} is ${item.phase} in generation ${item.gen}, and control in ${control?.gen}`;
      });
      reached.set(split, await this.#reachedBy(split, item));
    }
    const logs = await this.#liveLogs(control?.gen ?? 1);
    this.#expectFold(reached, logs, "the live state");
  }

  /** At rest, while a restore is held: the state is the fold up to there. @throws Violation */
  async judgeHeld(): Promise<void> {
    const { monitor, source } = this.#scene;
    const generation = monitor.known?.gen ?? 1;
    const reached = new Map<string, Reached>();
    for (const split of source.splits.keys()) {
      const item = monitor.splits.get(split);
      if (item === undefined) continue;
      promise(item.gen === generation && item.phase === "REPLAYING", () => {
        return `split ${split} is ${item.phase} in generation ${item.gen}, and the restore of generation ${generation} is held`;
      });
      reached.set(split, await this.#reachedBy(split, item));
    }
    this.#expectFold(reached, await this.#liveLogs(generation), "the state of the restore that is held");
  }

  async #reachedBy(split: string, item: Split): Promise<Reached> {
    const holes = await allHoles(this.#scene.stores.truth.control, { function: this.#scene.functionName, split }, item);
    return { position: item.position, holes, maybeTo: item.attemptedTo };
  }

  async #liveLogs(generation: number): Promise<Map<string, readonly string[]>> {
    const logs = new Map<string, readonly string[]>();
    const scope = { function: this.#scene.functionName, generation };
    for await (const { items } of this.#scene.stores.truth.state.scan(scope, { index: 0, count: 1 })) {
      for (const { key, state } of items) if (state !== ABSENT) logs.set(key, idsIn(state.value));
    }
    return logs;
  }

  /** Each checkpoint is the fold over exactly its positions, at the moment at which its manifest stands. */
  readCommitted(): void {
    if (this.#unread.length === 0) return;
    for (const [n, manifest] of this.#unread.splice(0)) {
      const logs = new Map<string, readonly string[]>();
      this.#countParts(manifest);
      for (const { name, items } of manifest.files ?? []) {
        const body = this.#scene.monitor.parts.get(`chk-${String(n).padStart(10, "0")}/${name}`);
        promise(body !== undefined, () => `the manifest of checkpoint ${n} stands, and its part ${name} is not there`);
        const lines = Buffer.from(body).toString("utf8").split("\n").slice(0, -1);
        promise(lines.length === items, () => `part ${name} has ${lines.length} items, and the manifest says ${items}`);
        for (const line of lines) {
          const [key, ids] = readLine(line);
          promise(!logs.has(key), () => `key ${key} is in checkpoint ${n} twice`);
          logs.set(key, ids);
        }
      }
      const reached = new Map<string, Reached>();
      for (const { splits, keys } of manifest.functions ?? []) {
        promise(keys === logs.size, () => `checkpoint ${n} has ${logs.size} keys, and says ${keys}`);
        for (const { split, position, holes } of splits) {
          if (split !== REDRIVE_SPLIT) reached.set(split, { position, holes });
        }
      }
      if (manifest.mode === "at-least-once") this.#scene.coverage.hit("a checkpoint in at-least-once mode");
      this.#expectFold(reached, logs, `checkpoint ${n}`);
    }
  }

  /** A part's name begins with its function and slice. */
  #countParts({ files = [] }: Addressed): void {
    const slices = files.map(({ name }) => /^.+?-\d+-/.exec(name)?.[0] ?? name);
    if (new Set(slices).size < slices.length) this.#scene.coverage.hit("a slice of several parts");
  }

  #expectFold(reached: Map<string, Reached>, logs: ReadonlyMap<string, readonly string[]>, what: string): void {
    if (this.#scene.setup.mode === "at-least-once") {
      // Events after the positions may be in it.
      for (const { split, events } of this.#scene.source.splits.values()) {
        const { position, holes } = reached.get(split) ?? { position: "", holes: [] };
        reached.set(split, { position, holes, maybeTo: at(events.length) });
      }
    }
    const flaw = flawOfFold(this.#scene.source.splits, reached, logs, {
      unseen: this.#unseen,
      // Repaired code may have folded it in a batch that was overtaken, before its tries were counted up.
      faulty: (id) => !this.#scene.repaired && this.#isBad(id) && !this.#mayBeFolded(id),
      unlooked: this.#unlooked,
      repeats: this.#scene.setup.mode === "at-least-once",
      redriven: this.#scene.redriven,
    });
    promise(flaw === undefined, () => `${what} is not the fold of its events: ${flaw}`);
  }

  #splitWritten(name: string, split: Split, before: Split | undefined): void {
    const known = this.#scene.source.splits.get(name);
    if (known === undefined) return;
    if (before === undefined) this.#unseen.set(name, known.expired);
    if (split.attempt > (before?.attempt ?? 0)) this.#countDeaths(name);
    this.#noteInside(name, split, before);
    this.#checkHoles(known, split, before);
    this.#checkRefusals(name, split, before);
  }

  /** A version that has taken nothing stops; one that has taken something never does for what it refuses. */
  #checkRefusals(
    name: string,
    { failing, refusals, takenBy, consecutiveDeadLetters }: Split,
    before: Split | undefined,
  ): void {
    const { maxConsecutiveDeadLetters: max } = this.#scene.setup;
    promise((refusals?.records ?? 0) <= max, () => {
      return `${refusals?.by} has taken nothing of split ${name}, and refused ${refusals?.records} of it`;
    });
    promise(
      takenBy?.includes(REFUSES_ALL) !== true,
      () => `a schema that refuses everything took a record of split ${name}`,
    );
    promise(consecutiveDeadLetters <= max, () => `split ${name} had ${consecutiveDeadLetters} failures in a row`);
    if (failing?.stopped !== true || failing === before?.failing) return;
    promise(consecutiveDeadLetters >= max || (refusals?.records ?? 0) >= max, () => {
      return `split ${name} has stopped, after ${consecutiveDeadLetters} failures in a row and ${refusals?.records ?? 0} refusals`;
    });
  }

  #noteInside(name: string, { failing }: Split, before: Split | undefined): void {
    const { running } = this.#scene.scheduler;
    if (running === undefined) return;
    for (const inside of this.#inside.values()) inside.delete(running);
    if (failing === undefined || insideMarks(failing) <= insideMarks(before?.failing)) return;
    const id = `${name}${numberAt(failing.position)}`;
    this.#inside.set(id, (this.#inside.get(id) ?? new Set()).add(running));
  }

  /** Nobody can tell who died in there from who still is, or could not say that it came out. */
  #countDeaths(name: string): void {
    for (const [id, inside] of this.#inside) {
      if (id.startsWith(name)) this.#deaths.set(id, [...inside].filter(({ cameOut }) => !cameOut).length);
    }
  }

  /** A record may be in a hole only if it was given up: by us, for its fault, or by the source. */
  #checkHoles(known: SimulatedSplit, split: Split, before: Split | undefined): void {
    if (split.holes.length === 0 || split.holes === before?.holes) return;
    for (const [index, record] of known.events.entries()) {
      const hole = holeAt(split.holes, at(index + 1));
      // What it was judged by when it came into the hole may be long over.
      const wasThere = hole !== undefined && holeAt(before?.holes ?? [], at(index + 1))?.cause === hole.cause;
      if (hole === undefined || wasThere) continue;
      const { failing } = before ?? {};
      if (failing?.position === at(index + 1) && deathsBeforeHandle(failing) >= this.#scene.setup.triesMax) {
        this.#unlooked.add(record.id);
      }
      if (hole.folded !== undefined) this.#scene.coverage.hit("a record is given up that is folded in part");
      promise(this.#mayBeIn(hole, known, index + 1, record), () => {
        return `${record.id} is in a hole of cause ${hole.cause}, and nothing is wrong with it`;
      });
    }
  }

  #mayBeIn({ cause }: Hole, split: SimulatedSplit, number: number, record: SimulatedEvent): boolean {
    if (cause !== "dead-letter") return number <= split.expired;
    if (eventsOf(record).some(({ id, key }) => key === undefined || this.#isBad(id))) return true;
    const { setup, skipped } = this.#scene;
    if (skipped.has(record.id) || setup.brokenSchemas) return true;
    return (this.#deaths.get(record.id) ?? 0) >= this.#scene.setup.triesMax;
  }

  /** What always fails was folded by nobody; what fails over some states alone may have been. */
  #mayBeFolded(id: string): boolean {
    const { poison, killers } = this.#scene.setup;
    return this.#unlooked.has(recordOf(id)) && !poison.has(id) && !killers.has(id);
  }

  /** Whether the code from before the repair fails at an event, or may. */
  #isBad(id: string): boolean {
    const { poison, killers, rivals } = this.#scene.setup;
    return poison.has(id) || killers.has(id) || rivals.has(id);
  }
}

/** Attempts that are said to be in the record. */
const insideMarks = (failing: Split["failing"]): number =>
  Object.keys(failing ?? {}).filter((name) => name.startsWith("in")).length;

function readLine(line: string): [string, readonly string[]] {
  const { Item } = JSON.parse(line) as {
    Item: {
      key: { S: string };
      state: { S?: string; M?: { ids: { S: string }; folded: { N: string }; double: { N: string } } };
      stateBigInts?: { M?: { folded?: { BOOL: boolean } } };
    };
  };
  const { S: ids, M: counted } = Item.state;
  if (counted === undefined) return [Item.key.S, idsIn(ids ?? "")];
  const isBigInt = Item.stateBigInts?.M?.folded?.BOOL === true;
  const folded = isBigInt ? BigInt(counted.folded.N) : Number(counted.folded.N);
  return [Item.key.S, idsIn({ ids: counted.ids.S, folded, double: Number(counted.double.N) })];
}
