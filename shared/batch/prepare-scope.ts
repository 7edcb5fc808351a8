/** What preparing a batch is given, and how a record ends there that is not to be folded. Pure data. */
import type { TidemarkError } from "../errors.ts";
import type { FunctionDefinition } from "../function/function-definition.ts";
import type { KeyNamer } from "../function/name-key.ts";
import type { Decoding } from "../source/decoding.ts";
import type { Position } from "../source/position.ts";
import type { SourceEvents, SourceRecord } from "../source/source.ts";
import type { TriesAtOnce } from "./try-at-once.ts";

/** How a record ended that is not to be folded. */
export type NoEvent =
  /** By the schema. */
  | { readonly kind: "refused"; readonly record: SourceRecord; readonly error: TidemarkError }
  /** It cannot be decoded, whatever the code is. */
  | { readonly kind: "unreadable"; readonly record: SourceRecord; readonly error: TidemarkError }
  /** The user's code took it, and gave it a key that is none: for good, since no state has a part in that. */
  | { readonly kind: "unfit"; readonly record: SourceRecord; readonly error: TidemarkError }
  /** Somebody asked for it to be passed over; nothing of it is looked at. */
  | { readonly kind: "skipped"; readonly record: SourceRecord }
  /** Given up before; passed over before anything of it is looked at. */
  | { readonly kind: "given-up"; readonly record: SourceRecord }
  | { readonly kind: "dropped"; readonly record: SourceRecord }
  /** Its source's `decode` made no event of it. */
  | { readonly kind: "empty"; readonly record: SourceRecord }
  | {
      readonly kind: "thrown";
      readonly record: SourceRecord;
      readonly thrown: unknown;
      readonly tries: number;
      /** Which of the record's events it was, for people; undefined: it has no other. */
      readonly place?: string | undefined;
    };

/** Why a record is passed over that may be folded in part. */
export type PassedOver = Extract<NoEvent, { readonly kind: "given-up" | "skipped" }>;

export interface PrepareScope {
  // biome-ignore lint/suspicious/noExplicitAny: the runtime folds functions of any event and state
  readonly definition: FunctionDefinition<any, any>;
  readonly events: SourceEvents;
  readonly decoding: Decoding;
  readonly split: string;
  readonly replay: boolean;
  readonly nameKey: KeyNamer;
  readonly startTimeMs?: number | undefined;
  /** Redriven records that do not count. */
  readonly passedOver?: ReadonlySet<Position>;
  /** Of redriven records: numbers of the events that are folded already, though the record was given up. */
  readonly foldedBefore?: ReadonlyMap<Position, ReadonlySet<number>>;
  /** The record whose tries are used up. */
  readonly givenUp?: string | undefined;
  /** How often the user's code may be asked for a record that it throws at. @default once */
  readonly tries?: { readonly left: (position: Position) => number } & Pick<TriesAtOnce, "clock" | "deadlineMs">;
  /** So many records from the first one on are to be passed over. @default none */
  readonly skip?: number | undefined;
  /** Up to here records of several events may be folded in part: those that are passed over are looked at. @default none is */
  readonly partlyTo?: Position | undefined;
}
