/** What a user writes: a pure fold of events into a key's state. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { Position } from "../source/position.ts";

/** Where an event stands, for the handler that folds it. */
export interface EventContext {
  readonly key: string;
  readonly split: string;
  readonly position: Position;
  /** When the source received the event, in ms since 1970; absent where the source does not say (files). */
  readonly eventTimeMs?: number;
  /** True while a restore replays the source. Outputs to the outside should be left out then. */
  readonly replay: boolean;
}

/** The shape and history of a function's state. */
export interface StateDefinition<State> {
  /**
   * The version of the state's shape, stored with every image. Raise it when the shape changes.
   * @default 1
   */
  readonly version?: number;
  /** The state of a key before its first event, and after `handle` returned null. */
  readonly initial: () => State;
  /**
   * `upgrade[n]` makes state of version `n + 1` from state of version `n`; applied in turn, on read.
   * Every version from the oldest stored to `version - 1` needs one.
   */
  // biome-ignore lint/suspicious/noExplicitAny: an older shape of the state, which only the user's code knows
  readonly upgrade?: { readonly [version: number]: (old: any) => unknown };
}

/** A stateful function as the runtime sees it; make one with {@link defineFunction}. */
export interface FunctionDefinition<Event = unknown, State = unknown> {
  /** The state's identity, as Flink's uid: letters, digits, `-` and `_`, at most 64. */
  readonly name: string;
  /** The name this function's state had in older checkpoints; a restore takes it over. */
  readonly previousName?: string;
  readonly event: StandardSchemaV1<unknown, Event>;
  readonly key: (event: Event) => string;
  readonly state: StateDefinition<State>;
  readonly handle: (state: State, event: Event, context: EventContext) => State | null | Promise<State | null>;
}
