/**
 * A key's state as the protocol keeps it, and the image of it at a cut. Pure data.
 *
 * Invariants:
 * - `v` is new with every write, and every write is conditional on the `v` it was computed from.
 * - `before` serves the checkpoint numbered `epoch` and no other; "the key did not exist" (`ABSENT`) and
 *   "there is no before-image" (`undefined`) are different things.
 * - An image is a value: `applied` is no part of it.
 */
import { TidemarkError } from "../errors.ts";
import type { JsonValue } from "../json/json-value.ts";
import type { Position } from "../source/position.ts";

/** The key has no state: never written, or cleared. */
export const ABSENT = "ABSENT";

/** A key's state with the version of the schema it was written by. */
export interface PresentImage {
  readonly value: JsonValue;
  readonly version: number;
}

export type Image = PresentImage | typeof ABSENT;

export interface StateItem {
  readonly key: string;
  readonly generation: number;
  /** Opaque; names this write of the item. */
  readonly v: string;
  /** The epoch of the last write that may have created `before`. */
  readonly epoch: number;
  /** ABSENT: a tombstone. */
  readonly state: Image;
  /** Per split, the last event folded into `state`, or {@link givenUpMark}. Empty in at-least-once mode. */
  readonly applied: Readonly<Record<string, Position>>;
  /** The image before this item's first write in `epoch`; undefined: none is kept. */
  readonly before?: Image;
}

const GIVEN_UP = "!";

/**
 * Stands in `applied` of a key of whose split a record was given up, none of which is in the key: the record's position, and
 * a sign that comes after it and before every later position.
 */
export const givenUpMark = (position: Position): string => `${position}${GIVEN_UP}`;

/** The position that an `applied` mark is of. */
export const markedPosition = (mark: string): Position => (mark.endsWith(GIVEN_UP) ? mark.slice(0, -1) : mark);

/**
 * The image of a key at cut `n`.
 * @throws TidemarkError `report-bug` when the item no longer has one: a checkpoint must never guess.
 */
export function imageAtCut(item: StateItem, n: number): Image {
  if (item.epoch < n) return item.state;
  if (item.epoch === n && item.before !== undefined) return item.before;
  throw new TidemarkError(
    "report-bug",
    `The image of key ${JSON.stringify(item.key)} at checkpoint ${n} is gone (its item is in epoch ${item.epoch}${item.before === undefined ? " and keeps no before-image" : ""}). The checkpoint fails rather than guess.`,
  );
}
