import type { JsonValue } from "../../json/json-value.ts";

/** The payload of a row of which a value cannot be read: its record is refused, and becomes a dead letter. */
export class UnreadableRow {
  /** What its dead letter says: which column, what is there, and the way out. */
  readonly why: string;
  /** The row, with what stands in the file where a value cannot be read. */
  readonly row: JsonValue;

  constructor(why: string, row: JsonValue) {
    this.why = why;
    this.row = row;
  }
}
