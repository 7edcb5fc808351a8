/**
 * What must be, worked out from the source's log of events alone: the sequential fold of the events at or before a
 * position, less the holes. Shares nothing with the code that it judges.
 *
 * Splits that share a key fold into it in no fixed order, and one may clear what another wrote: a key's list is right
 * if some order of the splits, each in its own order, makes it.
 */
import type { Hole } from "../../shared/control/hole.ts";
import { at, eventsOf, recordOf, type SimulatedSplit } from "./simulated-source.ts";

/** How far a split has come. */
export interface Reached {
  readonly position: string;
  readonly holes: readonly Hole[];
  /** Events after `position`, up to here, that may have been folded besides. */
  readonly maybeTo?: string;
}

interface Due {
  readonly id: string;
  readonly clear: boolean;
  /** Tried, and then dropped by the source, or not yet resolved: folded once or not at all. */
  readonly may: boolean;
}

export interface FoldRules {
  /** At-least-once: an event may be folded again; none at or before a position may be missing. */
  readonly repeats: boolean;
  /** Split -> number of its first records that the source had forgotten before it was born: folded once or not at all. */
  readonly unseen: ReadonlyMap<string, number>;
  /** Events that a dead letter can be made of without anybody having folded them. */
  readonly faulty: (id: string) => boolean;
  /** Dead letters that were put back: they come at any time, once at the most. */
  readonly redriven: ReadonlySet<string>;
  /** Records of which nobody knew whether they were folded when they were given up: put back, they may come a second time. */
  readonly unlooked: ReadonlySet<string>;
}

const within = ({ from, after, to, before }: Hole, position: string): boolean =>
  (from === undefined || position >= from) &&
  (after === undefined || position > after) &&
  (to === undefined || position <= to) &&
  (before === undefined || position < before);

export const holeAt = (holes: readonly Hole[], position: string): Hole | undefined =>
  holes.find((hole) => within(hole, position));

/** What is wrong with the lists of all keys, in words; undefined: nothing. */
export function flawOfFold(
  splits: ReadonlyMap<string, SimulatedSplit>,
  reached: ReadonlyMap<string, Reached>,
  logs: ReadonlyMap<string, readonly string[]>,
  rules: FoldRules,
): string | undefined {
  const due = dueByKey(splits, reached, rules);
  for (const [key, log] of logs) {
    if (log.length > 0 && !due.has(key)) return `key ${key} holds ${log.join(" ")}, and no event of it was folded`;
  }
  for (const [key, ofSplits] of due) {
    const log = logs.get(key) ?? [];
    const flaw = rules.repeats ? flawWithRepeats(log, ofSplits, rules.redriven) : flawOfKey(log, ofSplits, rules);
    if (flaw !== undefined) return `key ${key} holds [${log.join(" ")}]: ${flaw}`;
  }
  return undefined;
}

function dueByKey(
  splits: ReadonlyMap<string, SimulatedSplit>,
  reached: ReadonlyMap<string, Reached>,
  { redriven, repeats, unseen, faulty }: FoldRules,
): Map<string, Map<string, Due[]>> {
  const due = new Map<string, Map<string, Due[]>>();
  for (const [split, { position, holes, maybeTo = position }] of reached) {
    const { events } = splits.get(split) as SimulatedSplit;
    for (const [index, record] of events.entries()) {
      const place = at(index + 1);
      if (place > maybeTo && place > position) break;
      const ofRecord = eventsOf(record);
      // One that the schema refuses is never folded, whatever else is in its record.
      if (ofRecord.some(({ key }) => key === undefined)) continue;
      const hole = holeAt(holes, place);
      // Where events are folded again, one may have been folded over another state before it was given up over this one.
      const isGivenUp = hole?.cause === "dead-letter" && !repeats && ofRecord.some(({ id }) => faulty(id));
      for (const [number, { id, key, clear }] of ofRecord.entries()) {
        const ofKey = due.get(key as string) ?? new Map<string, Due[]>();
        due.set(key as string, ofKey);
        const ofSplit = ofKey.get(split) ?? [];
        ofKey.set(split, ofSplit);
        // Its hole says which of a record's events are folded all the same.
        const isFolded = hole?.folded?.includes(number) === true;
        if ((isGivenUp && !isFolded) || redriven.has(recordOf(id))) continue;
        const may = (hole !== undefined && !isFolded) || place > position || index < (unseen.get(split) ?? 0);
        ofSplit.push({ id, clear, may });
      }
    }
  }
  return due;
}

const splitOf = (id: string): string => id[0] as string;

function flawOfKey(
  log: readonly string[],
  due: ReadonlyMap<string, readonly Due[]>,
  { redriven, unlooked }: FoldRules,
): string | undefined {
  const once = log.filter((id) => !redriven.has(recordOf(id)) || !unlooked.has(recordOf(id)));
  if (new Set(once).size !== once.length) return "an event is in it twice";
  const own = log.filter((id) => !redriven.has(recordOf(id)));
  for (const id of own) {
    if (!due.get(splitOf(id))?.some((one) => one.id === id)) return `${id} should not be in it`;
  }
  const parts = [...due].map(([split, events]) => ({ events, log: own.filter((id) => splitOf(id) === split) }));
  // A redriven clear may have come at any time.
  const anyClear = [...redriven].some((id) => due.get(splitOf(id)) !== undefined);
  const whole = parts.every(({ events, log }) => matches(events, log, 0) && lastClear(events, true) < 0);
  if (whole) return undefined;
  for (const [index, part] of parts.entries()) {
    for (const [place, { clear }] of part.events.entries()) {
      if (!clear || place < lastClear(part.events, true)) continue;
      if (!matches(part.events, part.log, place + 1)) continue;
      if (parts.every((other, at) => at === index || matchesFromSomewhere(other.events, other.log))) return undefined;
    }
  }
  if (anyClear && parts.every(({ events, log }) => matchesFromSomewhere(events, log))) return undefined;
  const must = [...due].map(([split, events]) => `${split}: ${events.map(spell).join(" ")}`).join("; ");
  return `no order of its splits' events makes it (${must})`;
}

const spell = ({ id, clear, may }: Due): string => `${id}${clear ? " (clears)" : ""}${may ? "?" : ""}`;

/** The index of the last event that must have cleared the key; -1: none. */
function lastClear(events: readonly Due[], must: boolean): number {
  for (let index = events.length - 1; index >= 0; index -= 1) {
    const { clear, may } = events[index] as Due;
    if (clear && !(must && may)) return index;
  }
  return -1;
}

/** Whether the list is what the events from `start` on leave, none of which clears the key for sure. */
function matches(events: readonly Due[], log: readonly string[], start: number): boolean {
  let next = 0;
  for (let index = start; index < events.length; index += 1) {
    const { id, clear, may } = events[index] as Due;
    if (clear) {
      if (!may) return false;
      continue;
    }
    if (log[next] === id) next += 1;
    else if (!may) return false;
  }
  return next === log.length;
}

/** Another split's clear may have come between any two of these events, after the last one that clears for sure. */
function matchesFromSomewhere(events: readonly Due[], log: readonly string[]): boolean {
  for (let start = lastClear(events, true) + 1; start <= events.length; start += 1) {
    if (matches(events, log, start)) return true;
  }
  return false;
}

function flawWithRepeats(
  log: readonly string[],
  due: ReadonlyMap<string, readonly Due[]>,
  redriven: ReadonlySet<string>,
): string | undefined {
  // What a clear leaves depends on what was folded again after it; one that was put back comes at any time.
  if ([...redriven].some((id) => due.has(splitOf(id)))) return undefined;
  if ([...due.values()].some((events) => events.some(({ clear }) => clear))) return undefined;
  for (const events of due.values()) {
    for (const { id, may } of events) if (!may && !log.includes(id)) return `${id} is missing`;
  }
  return undefined;
}
