/**
 * Where in its split a record stands: a string of fixed width per source, ordered as text.
 * (Kinesis sequence numbers exceed 38 digits, DynamoDB's limit for numbers.)
 */
export type Position = string;

/** Before the first record of any split: less than every position. */
export const BEGINNING: Position = "";

export function laterOf(a: Position, b: Position): Position {
  return a >= b ? a : b;
}
