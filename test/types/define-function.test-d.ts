/** What `defineFunction` infers, and what it refuses to compile. Checked by `npm run typecheck`; never run. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { expectTypeOf } from "vitest";
import { z } from "zod";
import { defineApp, defineFunction, type EventContext, type FunctionDefinition } from "../../shared/index.ts";

interface OnTime {
  readonly flights: number;
  readonly worstDate: string | null;
}

const zodSchema = z.object({ origin: z.string(), delay: z.string().transform(Number) });

// The event is the schema's output, the state is what `initial` returns.
const withZod = defineFunction({
  name: "with-zod",
  event: zodSchema,
  key: (event) => {
    expectTypeOf(event).toEqualTypeOf<{ origin: string; delay: number }>();
    return event.origin;
  },
  state: { initial: () => ({ flights: 0 }) },
  handle: (state, event, context) => {
    expectTypeOf(state).toEqualTypeOf<{ flights: number }>();
    expectTypeOf(event.delay).toEqualTypeOf<number>();
    expectTypeOf(context).toEqualTypeOf<EventContext>();
    return { flights: state.flights + 1 };
  },
});
expectTypeOf(withZod).toEqualTypeOf<FunctionDefinition<{ origin: string; delay: number }, { flights: number }>>();

// A Standard Schema written by hand serves as well.
interface Click {
  readonly page: string;
}
const handWritten: StandardSchemaV1<unknown, Click> = {
  "~standard": {
    version: 1,
    vendor: "own",
    validate: (value) => (isClick(value) ? { value } : { issues: [{ message: "no click" }] }),
  },
};
declare function isClick(value: unknown): value is Click;
const withOwn = defineFunction({
  name: "with-own",
  event: handWritten,
  key: (click) => click.page,
  state: { initial: () => 0 },
  handle: (count, click) => {
    expectTypeOf(click).toEqualTypeOf<Click>();
    return count + click.page.length;
  },
});
expectTypeOf(withOwn).toEqualTypeOf<FunctionDefinition<Click, number>>();

// `initial` pins the state where its value alone says too little.
const pinned = defineFunction({
  name: "pinned",
  event: zodSchema,
  key: (event) => event.origin,
  state: {
    version: 2,
    initial: (): OnTime => ({ flights: 0, worstDate: null }),
    upgrade: { 1: (old: { flights: number }) => ({ ...old, worstDate: null }) },
  },
  handle: (state) => {
    expectTypeOf(state).toEqualTypeOf<OnTime>();
    return { ...state, worstDate: "2001-01-10" };
  },
});
expectTypeOf(pinned.state.initial).returns.toEqualTypeOf<OnTime>();

// `handle` may be asynchronous, and may clear the key.
const shape = { name: "f", event: handWritten, key: (click: Click) => click.page };
const onTimeState = { initial: (): OnTime => ({ flights: 0, worstDate: null }) };
expectTypeOf(
  defineFunction({
    ...shape,
    state: onTimeState,
    handle: async (state, click) => (click.page === "end" ? null : { ...state, flights: 1 }),
  }),
).toEqualTypeOf<FunctionDefinition<Click, OnTime>>();
defineFunction({ ...shape, state: onTimeState, handle: () => null });

// With a schema the state is what that says, and `initial` need not be annotated.
const onTimeSchema = z.object({ flights: z.number(), worstDate: z.string().nullable() });
const checked = defineFunction({
  ...shape,
  state: { schema: onTimeSchema, initial: () => ({ flights: 0, worstDate: null }) },
  handle: (state) => {
    expectTypeOf(state).toEqualTypeOf<{ flights: number; worstDate: string | null }>();
    return { ...state, worstDate: "2001-01-10" };
  },
});
expectTypeOf(checked).toEqualTypeOf<FunctionDefinition<Click, { flights: number; worstDate: string | null }>>();
defineFunction({
  ...shape,
  state: { schema: z.object({ total: z.bigint() }), initial: () => ({ total: 0n }) },
  handle: ({ total }) => ({ total: total + 1n }),
});
const checkedState = { schema: onTimeSchema, initial: () => ({ flights: 0, worstDate: null }) };
// @ts-expect-error: handle returns what the schema refuses
defineFunction({ ...shape, state: checkedState, handle: () => ({ flights: 0 }) });
// A default makes another state than it was given, and so does a transform.
const withDefault = z.object({ n: z.number().default(0) });
// @ts-expect-error: n may be missing
defineFunction({ ...shape, state: { schema: withDefault, initial: () => ({ n: 0 }) }, handle: (state) => state });
const transformed = z.object({ n: z.string().transform(Number) });
// @ts-expect-error: n is text
defineFunction({ ...shape, state: { schema: transformed, initial: () => ({ n: 0 }) }, handle: (state) => state });

// A state of another shape does not compile, neither at once nor as a promise.
// @ts-expect-error: worstDate is missing
defineFunction({ ...shape, state: onTimeState, handle: () => ({ flights: 1 }) });
// @ts-expect-error: flights is text
defineFunction({ ...shape, state: onTimeState, handle: async (state) => ({ ...state, flights: "1" }) });
// @ts-expect-error: nothing is returned
defineFunction({ ...shape, state: onTimeState, handle: () => {} });
// @ts-expect-error: the state is read-only
defineFunction({ ...shape, state: onTimeState, handle: (state) => ({ ...state, flights: state.flights++ }) });

// Nor does a key that is no text, an event's field that is not there, a schema that is none, or a misspelt option.
// @ts-expect-error: a number
defineFunction({ ...shape, key: (click: Click) => click.page.length, state: onTimeState, handle: () => null });
// @ts-expect-error: a click has no origin
defineFunction({ ...shape, key: (click) => click.origin, state: onTimeState, handle: () => null });
// @ts-expect-error: no Standard Schema
defineFunction({ ...shape, event: { type: "object" }, state: onTimeState, handle: () => null });
// @ts-expect-error: previousName is misspelt
defineFunction({ ...shape, previosName: "g", state: onTimeState, handle: () => null });

// An app takes functions of any event and state, and no misspelt option.
defineApp({
  name: "app",
  functions: [
    { function: withZod, source: "a" },
    { function: withOwn, source: "b", startFrom: new Date(0) },
    { function: pinned, source: "a", startFrom: "earliest" },
  ],
});
// @ts-expect-error: intervalMs is misspelt
defineApp({ name: "app", functions: [{ function: withOwn, source: "b" }], checkpointing: { intervallMs: 1 } });
// @ts-expect-error: there are two modes
defineApp({ name: "app", functions: [{ function: withOwn, source: "b" }], checkpointing: { mode: "at-most-once" } });
// @ts-expect-error: a start is "earliest" or a Date
defineApp({ name: "app", functions: [{ function: withOwn, source: "b", startFrom: "2026-01-01" }] });
