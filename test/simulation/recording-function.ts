/** The function of every history: a key's state is the list of the events that were folded into it. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { defineFunction } from "../../shared/function/define-function.ts";
import type { FunctionDefinition } from "../../shared/function/function-definition.ts";
import type { JsonValue } from "../../shared/json/json-value.ts";
import type { SimulatedEvent } from "./simulated-source.ts";

export const FUNCTION = "log";
/** What it is called once it was renamed. */
export const NEW_NAME = "book";
export type FunctionName = typeof FUNCTION | typeof NEW_NAME;

/**
 * Version 1 is the ids with blanks between; version 2 counts them as well, by a BigInt, beside a double of digits that a
 * BigInt may have too.
 */
type State = string | CountedIds;

interface CountedIds {
  readonly ids: string;
  readonly folded: bigint;
  readonly double: number;
}

const DOUBLE = 1e20;

export interface UserCode {
  /** Called by `handle` before it folds, with the ids that the state has; may throw. */
  act(id: string, ids: string): void;
}

const schema: StandardSchemaV1<unknown, SimulatedEvent> = {
  "~standard": {
    version: 1,
    vendor: "simulation",
    validate: (value) => {
      const event = value as SimulatedEvent;
      return event.key === undefined ? { issues: [{ message: "a key is required" }] } : { value: event };
    },
  },
};

/** Of a deploy that is broken. */
const refusesAll: StandardSchemaV1<unknown, SimulatedEvent> = {
  "~standard": {
    version: 1,
    vendor: "simulation",
    validate: () => ({ issues: [{ message: "the deploy is broken" }] }),
  },
};

/** The same function behind a schema that refuses everything. */
export const withBrokenSchema = <Definition extends object>(definition: Definition): Definition => ({
  ...definition,
  event: refusesAll,
});

/** Stands behind the first id of a large state, and is no part of it. */
const FILLER = "~";

export interface RecordingOptions {
  readonly name: FunctionName;
  readonly version: 1 | 2;
  /** At least so many bytes has a state from its first event on. */
  readonly stateBytes: number;
}

export function recordingFunction(
  code: UserCode,
  { name, version, stateBytes }: RecordingOptions,
): FunctionDefinition<SimulatedEvent, State> {
  const initial: State = version === 1 ? "" : counted("");
  return defineFunction({
    name,
    event: schema,
    key: (event) => event.key as string,
    state: {
      version,
      initial: () => initial,
      ...(version === 1 ? {} : { upgrade: { 1: counted } }),
    },
    handle: (state, { id, clear }) => {
      const ids = typeof state === "string" ? state : state.ids;
      code.act(id, ids);
      if (clear) return null;
      const more = ids === "" ? id.padEnd(stateBytes, FILLER) : `${ids} ${id}`;
      return typeof state === "string" ? more : { ids: more, folded: state.folded + 1n, double: state.double };
    },
  });
}

/** The ids in a stored state of either version; of one whose numbers are not as they were written, what no key has. */
export function idsIn(state: JsonValue): readonly string[] {
  if (typeof state === "string") return idsOf(state);
  const { ids, folded, double } = state as unknown as CountedIds;
  const found = idsOf(ids);
  return folded === BigInt(found.length) && double === DOUBLE ? found : ["numbers that are not as they were written"];
}

const counted = (ids: string): CountedIds => ({ ids, folded: BigInt(idsOf(ids).length), double: DOUBLE });

const idsOf = (ids: string): string[] =>
  ids === "" ? [] : ids.split(" ").map((id) => (id.endsWith(FILLER) ? id.slice(0, id.indexOf(FILLER)) : id));
