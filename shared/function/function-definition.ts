/** A stateful function as the runtime sees it. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { Position } from "../source/position.ts";

/** Where an event stands, for the handler that folds it. */
export interface EventContext {
  readonly key: string;
  readonly split: string;
  readonly position: Position;
  /** Which of its record's events this is, from 0; absent where the source has no `decode`. */
  readonly index?: number;
  /**
   * When the source received the event, in ms since 1970; absent where the source does not say (files). When it happened is
   * known to the event alone.
   */
  readonly arrivalTimeMs?: number;
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
  /**
   * What the state looks like: any Standard Schema, which may only check. A state that it refuses, or that its output
   * would change (a default, a transform, a member that it drops), is not folded and not stored:
   *
   * - One that is loaded, after `upgrade`, fails its batch, which writes nothing, counts no try and is delivered again:
   *   code that knows it has to be deployed. So a `version` that was not raised is found before it does harm.
   * - One that `handle` returns is a throw of `handle` at that record.
   *
   * Must answer at once: no asynchronous schema. Costs one validation for each event, and one for each key of a batch.
   * @default none - a state is anything that JSON holds
   */
  readonly schema?: StandardSchemaV1<NoInfer<State>, State>;
  /** The state of a key before its first event, and after `handle` returned null. */
  readonly initial: () => State;
  /**
   * `upgrade[n]` makes state of version `n + 1` from state of version `n`; applied in turn, on read.
   * Every version from the oldest stored to `version - 1` needs one.
   */
  // biome-ignore lint/suspicious/noExplicitAny: an older shape of the state, which only the user's code knows
  readonly upgrade?: { readonly [version: number]: (old: any) => unknown };
}

/** A stateful function as the runtime sees it; make one with `defineFunction`. */
export interface FunctionDefinition<Event = unknown, State = unknown> {
  /** The state's identity, as Flink's uid: restores find the state by it. Letters, digits, `-` and `_`, at most 64. */
  readonly name: string;
  /** The name this function's state had in older checkpoints; a restore takes it over. */
  readonly previousName?: string;
  /** What makes an event of a record, and refuses what is none: any Standard Schema (zod, valibot, arktype, your own). */
  readonly event: StandardSchemaV1<unknown, Event>;
  /** What state the event belongs to: text of 1 to 2048 bytes. */
  readonly key: (event: Event) => string;
  readonly state: StateDefinition<State>;
  /**
   * The state after an event; null clears the key. The state it gets is frozen: return a new one.
   *
   * Must be deterministic, with no effect outside: it may run more than once for an event, and a restore runs it again.
   *
   * Events of a split come in their order. Those of different splits that share the key come in some order, and a replay may
   * choose another: where that matters, partition the source by the key, or return what does not depend on it.
   */
  readonly handle: (state: State, event: Event, context: EventContext) => State | null | Promise<State | null>;
}
