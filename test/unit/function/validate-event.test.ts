import type { StandardSchemaV1 } from "@standard-schema/spec";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { defineFunction } from "../../../shared/function/define-function.ts";
import { validateEvent } from "../../../shared/function/validate-event.ts";
import { parseJson } from "../../../shared/json/parse-json.ts";

function functionOf<Event>(event: StandardSchemaV1<unknown, Event>) {
  return defineFunction({ name: "f", event, key: () => "k", state: { initial: () => 0 }, handle: () => 1 });
}

function schemaOf(
  validate: (value: unknown) => StandardSchemaV1.Result<number> | Promise<StandardSchemaV1.Result<number>>,
): StandardSchemaV1<unknown, number> {
  return { "~standard": { version: 1, vendor: "own", validate } };
}

describe("validateEvent", () => {
  it("answers at once with the schema's output where the schema is synchronous", () => {
    const definition = functionOf(z.object({ delay: z.string().transform(Number) }));
    expect(validateEvent(definition, { delay: "7", other: 1 })).toEqual({ ok: true, event: { delay: 7 } });
  });

  it("answers later where the schema is asynchronous", async () => {
    const definition = functionOf(z.string().refine(async (text) => text === "yes", "must be yes"));
    const accepted = validateEvent(definition, "yes");
    expect(accepted).toBeInstanceOf(Promise);
    expect(await accepted).toEqual({ ok: true, event: "yes" });
    expect(await validateEvent(definition, "no")).toMatchObject({
      ok: false,
      error: { kind: "fix-event", message: expect.stringContaining("event: must be yes") },
    });
  });

  it("says where and why an event is refused", () => {
    const definition = functionOf(z.object({ delay: z.number(), legs: z.array(z.object({ to: z.string() })) }));
    const answer = validateEvent(definition, { delay: "7", legs: [{ to: "LAX" }, {}] });
    expect(answer).toMatchObject({
      ok: false,
      error: {
        kind: "fix-event",
        message:
          "The schema of f refuses the event: event.delay: Invalid input: expected number, received string; " +
          "event.legs[1].to: Invalid input: expected string, received undefined. " +
          "Correct what writes the event, or widen the schema and redrive the dead letter.",
      },
    });
  });

  it("says why a number is a BigInt, and the way out, where that is what the schema refuses", () => {
    const definition = functionOf(
      z.object({ a: z.array(z.object({ "order id": z.union([z.number(), z.string()]) })) }),
    );
    expect(validateEvent(definition, parseJson('{"a":[{"order id":9007199254740993}]}'))).toMatchObject({
      ok: false,
      error: {
        kind: "fix-event",
        message:
          'The schema of f refuses the event: event.a[0]["order id"]: Invalid input. ' +
          'event.a[0]["order id"] is an integer beyond 2^53, which no number holds exactly: such integers arrive as BigInt. ' +
          'Take it as one (z.bigint()), or have the source give such integers as text: sources: { NAME: { url: "…", integers: "text" } }. ' +
          "Correct what writes the event, or widen the schema and redrive the dead letter.",
      },
    });
  });

  it("lets a BigInt pass that the schema does not look at", () => {
    const definition = functionOf(z.object({ a: z.number() }));
    expect(validateEvent(definition, parseJson('{"a":1,"unread":9007199254740993}'))).toEqual({
      ok: true,
      event: { a: 1 },
    });
  });

  it("takes paths of both forms that Standard Schema allows", () => {
    const definition = functionOf(
      schemaOf(() => ({ issues: [{ message: "bad", path: [{ key: "a b" }, 0, Symbol("s")] }, { message: "worse" }] })),
    );
    expect(validateEvent(definition, 1)).toMatchObject({
      error: { message: expect.stringContaining('event["a b"][0][Symbol(s)]: bad; event: worse. ') },
    });
  });

  it("names the first five faults of many", () => {
    const definition = functionOf(
      schemaOf(() => ({ issues: Array.from({ length: 8 }, (_, i) => ({ message: `fault ${i}` })) })),
    );
    expect(validateEvent(definition, 1)).toMatchObject({
      error: { message: expect.stringMatching(/event: fault 4; and 3 more\. /) },
    });
  });

  it("leaves a throw of the schema to the caller: it is no refusal", async () => {
    const thrown = new Error("schema is broken");
    const throwing = functionOf(
      schemaOf(() => {
        throw thrown;
      }),
    );
    expect(() => validateEvent(throwing, 1)).toThrow(thrown);
    const rejecting = functionOf(schemaOf(() => Promise.reject(thrown)));
    await expect(validateEvent(rejecting, 1)).rejects.toBe(thrown);
  });
});
