/**
 * The source of a history: splits whose records arrive, expire and end while it runs. Record `n` of split `s` is the
 * event `s<n>`; where the source has a `decode`, its further events are `s<n>.1`, `s<n>.2`.
 */
import type { Position } from "../../shared/source/position.ts";
import type { ReadPage, Source, SourceEvents, SourceReader, SourceRecord } from "../../shared/source/source.ts";
import type { Process } from "./process.ts";
import type { Method, Scheduler } from "./scheduler.ts";
import type { Setup } from "./setup.ts";

export interface SimulatedEvent {
  readonly id: string;
  /** Absent: the schema refuses it. */
  readonly key?: string;
  readonly clear: boolean;
  /** Of a record of several events: those after this one. */
  readonly more?: readonly SimulatedEvent[];
  /** The record has no event, not even this one. */
  readonly empty?: true;
}

/** All events of a record, by its first one. */
export const eventsOf = (first: SimulatedEvent): readonly SimulatedEvent[] =>
  first.empty === true ? [] : [first, ...(first.more ?? [])];

/** The record of an event, by their ids. */
export const recordOf = (id: string): string => id.split(".", 1)[0] as string;

export interface SimulatedSplit {
  readonly split: string;
  /** All that will ever be in it. */
  readonly events: readonly SimulatedEvent[];
  readonly parents: readonly string[];
  /** Listed once something has arrived. */
  readonly late: boolean;
  /** How many have arrived. */
  arrived: number;
  readonly arrivedAtMs: number[];
  /** Records at or before this number are gone. */
  expired: number;
  closed: boolean;
}

const POSITION_DIGITS = 3;
export const RETENTION_MS = 24 * 3_600_000;

export const at = (number: number): Position => (number === 0 ? "" : String(number).padStart(POSITION_DIGITS, "0"));
export const numberAt = (position: Position): number => (position === "" ? 0 : Number(position));

export class SimulatedSource {
  readonly splits = new Map<string, SimulatedSplit>();
  readonly #retained: boolean;

  constructor(setup: Setup, nowMs: number) {
    this.#retained = setup.expiry;
    for (const { split, letters, more, parents, early, late = false } of setup.splits) {
      const eventOf = (id: string, letter: string): SimulatedEvent => {
        if (letter === "!") return { id, clear: false };
        const key = letter.toLowerCase();
        return { id, key: setup.sharedKeys ? key : `${key}${split}`, clear: key !== letter };
      };
      const events = [...letters].map((letter, index): SimulatedEvent => {
        const id = `${split}${index + 1}`;
        const further = more?.[index] ?? "";
        if (further === "_") return { ...eventOf(id, letter), empty: true };
        if (further === "") return eventOf(id, letter);
        return {
          ...eventOf(id, letter),
          more: [...further].map((other, number) => eventOf(`${id}.${number + 1}`, other)),
        };
      });
      const arrived = parents.length > 0 ? 0 : early;
      this.splits.set(split, {
        arrivedAtMs: Array.from({ length: arrived }, () => nowMs - setup.agedMs),
        ...{ split, events, parents, late, arrived, expired: 0, closed: false },
      });
    }
  }

  get retentionMs(): number | undefined {
    return this.#retained ? RETENTION_MS : undefined;
  }

  /** A split that is listed: its parents are closed. */
  isBorn(split: SimulatedSplit): boolean {
    return this.#mayArrive(split) && (!split.late || split.arrived > 0);
  }

  #mayArrive({ parents }: SimulatedSplit): boolean {
    return parents.every((parent) => this.splits.get(parent)?.closed === true);
  }

  get isWhole(): boolean {
    return [...this.splits.values()].every(({ arrived, events }) => arrived === events.length);
  }

  /** The next record arrives; a split that has all of its records and has children closes. */
  arrive(split: SimulatedSplit, nowMs: number): boolean {
    if (!this.#mayArrive(split) || split.arrived === split.events.length) return false;
    split.arrived += 1;
    split.arrivedAtMs.push(nowMs);
    return true;
  }

  /** @returns whether it closed just now */
  close(split: SimulatedSplit): boolean {
    if (split.closed || split.arrived < split.events.length) return false;
    if (![...this.splits.values()].some(({ parents }) => parents.includes(split.split))) return false;
    split.closed = true;
    return true;
  }

  /** @returns how many records were forgotten */
  expire(nowMs: number): number {
    if (!this.#retained) return 0;
    let forgotten = 0;
    for (const split of this.splits.values()) {
      const before = split.expired;
      while (split.expired < split.arrived && (split.arrivedAtMs[split.expired] as number) + RETENTION_MS < nowMs) {
        split.expired += 1;
      }
      forgotten += split.expired - before;
    }
    return forgotten;
  }

  /** Records `from` to `to`, both included, that are there. */
  records(name: string, from: number, to: number): SourceRecord[] {
    const split = this.split(name);
    const records: SourceRecord[] = [];
    for (let number = Math.max(from, split.expired + 1); number <= Math.min(to, split.arrived); number += 1) {
      const position = at(number);
      records.push({
        position,
        itemIdentifier: position,
        arrivalTimeMs: split.arrivedAtMs[number - 1] as number,
        payload: split.events[number - 1],
      });
    }
    return records;
  }

  split(name: string): SimulatedSplit {
    const split = this.splits.get(name);
    if (split === undefined) throw new Error(`there is no split ${name}`);
    return split;
  }

  /** One process's view. */
  open(process: Process, scheduler: Scheduler): Source {
    return {
      events: EVENTS,
      reader: new ScheduledReader(this, process, scheduler),
      retentionMs: () => Promise.resolve(this.retentionMs),
    };
  }
}

const EVENTS: SourceEvents = {
  parse: (event) => event as { split: string; records: SourceRecord[] },
  decode: (record) => record.payload,
  bytes: (record) => Buffer.from(JSON.stringify(record.payload)),
  dump: (record) => record.payload as never,
  undump: (dumped) => dumped,
  toEvent: (batch) => batch,
};

const spell = (split: string, after?: Position): string => `${split}${after === undefined ? "" : ` after ${after}`}`;
const method = (name: string): Method => ({ store: "source", name, writes: false, spell });
const SPLITS = method("splits");
const READ = method("read");
const LOOK = method("look");
const HOLDS = method("holdsAny");
const MISSING = method("missingAfter");

class ScheduledReader implements SourceReader {
  readonly #source: SimulatedSource;
  readonly #process: Process;
  readonly #scheduler: Scheduler;

  constructor(source: SimulatedSource, process: Process, scheduler: Scheduler) {
    this.#source = source;
    this.#process = process;
    this.#scheduler = scheduler;
  }

  #call<Answer>(of: Method, split: string, after: Position | undefined, run: () => Answer): Promise<Answer> {
    return this.#scheduler.call(this.#process, of, async () => run(), split, after);
  }

  async *splits(): AsyncGenerator<{ readonly split: string; readonly parents: readonly string[] }> {
    const source = this.#source;
    yield* await this.#call(SPLITS, "", undefined, () =>
      [...source.splits.values()]
        .filter((split) => source.isBorn(split))
        .map(({ split, parents }) => ({ split, parents })),
    );
  }

  async *read(request: Parameters<SourceReader["read"]>[0]): AsyncGenerator<ReadPage> {
    let number = numberAt(request.after);
    for (;;) {
      const after = number;
      const page = await this.#call(READ, request.split, at(after), () => {
        const { arrived, closed, expired } = this.#source.split(request.split);
        const from = Math.max(after, expired);
        const records = this.#source.records(request.split, from + 1, from + request.pageRecords);
        const caughtUp = from + records.length >= arrived;
        return { records, ended: caughtUp && closed, caughtUp };
      });
      number = numberAt(page.records.at(-1)?.position ?? at(number));
      yield page;
      if (page.caughtUp) return;
    }
  }

  look(split: string, after: Position): Promise<Awaited<ReturnType<SourceReader["look"]>>> {
    return this.#call(LOOK, split, after, () => {
      const { arrived, closed } = this.#source.split(split);
      const first = this.#source.records(split, numberAt(after) + 1, arrived)[0];
      return {
        holdsRecords: first !== undefined,
        ended: closed && first === undefined,
        ...(first?.arrivalTimeMs === undefined ? {} : { firstArrivalTimeMs: first.arrivalTimeMs }),
      };
    });
  }

  holdsAny(split: string, { after, to }: { readonly after: Position; readonly to: Position }): Promise<boolean> {
    return this.#call(HOLDS, split, after, () => {
      return this.#source.records(split, numberAt(after) + 1, numberAt(to)).length > 0;
    });
  }

  missingAfter({ split, after }: Parameters<SourceReader["missingAfter"]>[0]): Promise<string | undefined> {
    return this.#call(MISSING, split, after, () => {
      const { expired } = this.#source.split(split);
      return expired > numberAt(after) ? `records up to ${at(expired)} have expired` : undefined;
    });
  }
}
