/**
 * Positions in shards: sequence numbers, padded to a width so that they are ordered as text as they are as numbers.
 *
 * The width is 56. AWS documents no length but the API's pattern, `0|([1-9]\d{0,128})`; Amazon's own Kinesis Client
 * Library knows sequence numbers as integers of 186 bits, and 2^186 has 56 digits, as every number seen in practice.
 * Positions are stored with every key, so the 73 digits that the pattern leaves room for would be paid for on each.
 * Should Kinesis ever exceed the width, the record is refused by name: nothing would be ordered wrongly in silence.
 */
import { TidemarkError } from "../../errors.ts";
import type { Position } from "../position.ts";

const SEQUENCE_NUMBER_DIGITS = 56;
const SEQUENCE_NUMBER = /^(?:0|[1-9]\d*)$/;

/** @throws TidemarkError `fix-configuration` when it is no sequence number, `report-bug` when it is too long for a position */
export function positionOf(sequenceNumber: string): Position {
  if (!SEQUENCE_NUMBER.test(sequenceNumber)) {
    throw new TidemarkError(
      "fix-configuration",
      `${JSON.stringify(sequenceNumber)} is no sequence number of a Kinesis record: those are numbers without leading zeros. Is the event from a Kinesis stream?`,
    );
  }
  if (sequenceNumber.length > SEQUENCE_NUMBER_DIGITS) {
    throw new TidemarkError(
      "report-bug",
      `The sequence number ${sequenceNumber} has ${sequenceNumber.length} digits; positions hold ${SEQUENCE_NUMBER_DIGITS}, as many as Kinesis has ever used. Please report this: positions have to become wider.`,
    );
  }
  return sequenceNumber.padStart(SEQUENCE_NUMBER_DIGITS, "0");
}

/** @throws TidemarkError `fix-configuration` when the position is not one of a shard */
export function sequenceNumberOf(position: Position): string {
  if (position.length !== SEQUENCE_NUMBER_DIGITS || !/^\d+$/.test(position)) {
    throw new TidemarkError(
      "fix-configuration",
      `${JSON.stringify(position)} is no position in a Kinesis shard (${SEQUENCE_NUMBER_DIGITS} digits). The split belonged to another source: bind the source that it was read from.`,
    );
  }
  return position.replace(/^0+(?=\d)/, "");
}
