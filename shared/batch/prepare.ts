/**
 * From records to events: decode, validate, select the key. Nothing here touches a store.
 *
 * Invariant: each record ends in exactly one way: an event with its key, refused (a dead letter at once), dropped
 * (before the user's `startFrom`), or thrown at by the user's code (which ends the batch there).
 */

import { redrivenLetter } from "../dead-letter/with-redrive.ts";
import { describeThrown, TidemarkError } from "../errors.ts";
import { checkKey } from "../function/check-key.ts";
import type { EventContext, FunctionDefinition } from "../function/define-function.ts";
import { validateEvent } from "../function/validate-event.ts";
import type { Position } from "../source/position.ts";
import type { SourceEvents, SourceRecord } from "../source/source.ts";
import type { FoldableEvent } from "./key-fold.ts";

export type Prepared =
  | ({ readonly kind: "event" } & FoldableEvent)
  | { readonly kind: "refused"; readonly record: SourceRecord; readonly error: TidemarkError }
  /** Given up before; skipped before anything of it is looked at. */
  | { readonly kind: "given-up"; readonly record: SourceRecord }
  | { readonly kind: "dropped"; readonly record: SourceRecord }
  | { readonly kind: "thrown"; readonly record: SourceRecord; readonly thrown: unknown };

export interface PrepareScope {
  // biome-ignore lint/suspicious/noExplicitAny: the runtime folds functions of any event and state
  readonly definition: FunctionDefinition<any, any>;
  readonly events: SourceEvents;
  readonly split: string;
  readonly replay: boolean;
  readonly startTimeMs?: number;
  /** Redriven records that do not count. */
  readonly passedOver?: ReadonlySet<Position>;
  /** The record whose tries are used up. */
  readonly givenUp?: string;
}

/** The records up to and with the first at which the user's code threw. */
export async function prepare(scope: PrepareScope, records: readonly SourceRecord[]): Promise<Prepared[]> {
  const prepared: Prepared[] = [];
  for (const record of records) {
    const next = prepareRecord(scope, record);
    const settled = next instanceof Promise ? await next : next;
    prepared.push(settled);
    if (settled.kind === "thrown") break;
  }
  return prepared;
}

function prepareRecord(scope: PrepareScope, record: SourceRecord): Prepared | Promise<Prepared> {
  // Before anything else: a later record of its key may have been folded already.
  if (record.position === scope.givenUp) return { kind: "given-up", record };
  if (scope.startTimeMs !== undefined && (record.arrivalTimeMs ?? scope.startTimeMs) < scope.startTimeMs) {
    return { kind: "dropped", record };
  }
  if (scope.passedOver?.has(record.position)) return { kind: "dropped", record };
  let raw: unknown;
  try {
    raw = scope.events.decode(record);
  } catch (thrown) {
    return { kind: "refused", record, error: unreadable(scope.definition.name, thrown) };
  }
  try {
    const validation = validateEvent(scope.definition, raw);
    if (!(validation instanceof Promise)) return withKey(scope, record, validation);
    return validation.then(
      (settled) => withKey(scope, record, settled),
      (thrown) => ({ kind: "thrown", record, thrown }),
    );
  } catch (thrown) {
    return { kind: "thrown", record, thrown };
  }
}

function withKey(
  scope: PrepareScope,
  record: SourceRecord,
  validation: Awaited<ReturnType<typeof validateEvent>>,
): Prepared {
  if (!validation.ok) return { kind: "refused", record, error: validation.error };
  try {
    const key = checkKey(scope.definition.name, scope.definition.key(validation.event));
    const origin = redrivenLetter(record);
    const context: EventContext = {
      key,
      split: origin?.split ?? scope.split,
      position: origin?.position ?? record.position,
      ...(record.arrivalTimeMs === undefined ? {} : { eventTimeMs: record.arrivalTimeMs }),
      replay: scope.replay,
    };
    return { kind: "event", record, event: validation.event, context };
  } catch (thrown) {
    return { kind: "thrown", record, thrown };
  }
}

function unreadable(functionName: string, thrown: unknown): TidemarkError {
  return new TidemarkError(
    "fix-event",
    `A record of function ${functionName} cannot be read: ${describeThrown(thrown)}. Correct what writes the records: each is one JSON value.`,
    { cause: thrown },
  );
}
