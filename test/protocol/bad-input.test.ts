/** What users and their data get wrong: each is named, and nothing is lost. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { FunctionDefinition } from "../../shared/function/define-function.ts";
import { DynamoDBStateBackend } from "../../shared/state/dynamodb/dynamodb-state-backend.ts";
import { createStateTable } from "../../shared/state/dynamodb/state-table.ts";
import { access, newTableName, startDynalite, type TestDynamoDB } from "../support/dynalite.ts";
import { expectAllResolved, expectExactlyOnce, expectPromise, liveLogs } from "../support/oracle.ts";
import { at, logFunction, type TestEvent, TestWorld } from "../support/test-world.ts";

type Log = FunctionDefinition<TestEvent, unknown>;

/** The recording function, but for event s3. */
function but(change: { state?: unknown; key?: unknown; throws?: unknown }): Log {
  const usual = logFunction("log");
  return {
    ...usual,
    key: (event) => ("key" in change && event.id === "s3" ? (change.key as string) : event.key),
    handle: (state, event, context) => {
      if (event.id !== "s3") return usual.handle(state as never, event, context);
      if ("throws" in change) throw change.throws;
      return "state" in change ? change.state : usual.handle(state as never, event, context);
    },
  } as Log;
}

/** s3 is what goes wrong: everything before it is committed, it is reported, and nothing after it is lost. */
async function expectReported(definition: Log, message: string | RegExp, kind = "fix-function"): Promise<void> {
  const world = new TestWorld({ triesMax: 2 });
  world.split("s", "ababb");
  const result = await world.deliver("s", 1, 5, { definition });
  expect(result.failedFrom?.itemIdentifier).toBe(at(3));
  expect(result.error?.kind).toBe(kind);
  if (typeof message === "string") expect(result.error?.message).toContain(message);
  else expect(result.error?.message).toMatch(message);
  expect(await world.itemOf("s")).toMatchObject({ position: at(2), failing: { position: at(3), tries: 1 } });
  expect(Object.fromEntries(await liveLogs(world))).toEqual({ a: ["s1"], b: ["s2"] });
  await world.deliverUntilDone("s", 3, 5, { definition });
  await expectAllResolved(world);
  expect((await world.itemOf("s"))?.holes).toMatchObject([{ cause: "dead-letter", from: at(3), to: at(3) }]);
  await world.checkpoint();
  await expectPromise(world);
}

const cycle: { self?: unknown } = {};
cycle.self = cycle;

describe("a handler", () => {
  it("that throws at record i: all before it committed, i reported, the rest delivered again", async () => {
    await expectReported(but({ throws: new RangeError("no such airport") }), "RangeError: no such airport");
  });

  it("that throws what is no error is reported all the same", async () => {
    await expectReported(but({ throws: "just text" }), "just text");
  });

  it("that rejects a promise is one that throws", async () => {
    const definition = {
      ...but({}),
      handle: async (_: unknown, event: TestEvent) => {
        if (event.id === "s3") throw new Error("later");
        return logFunction("log").handle(_ as never, event, undefined as never);
      },
    } as Log;
    await expectReported(definition, "Error: later");
  });

  it.each([
    ["NaN", { log: [Number.NaN] }, "state.log[0] is NaN"],
    ["a Date", { at: new Date(0) }, "state.at is a Date"],
    ["a function", { log: [], go: () => 1 }, "state.go is a function"],
    ["a cycle", cycle, "state.self"],
    ["undefined within", { worst: undefined }, "state.worst is undefined"],
    ["undefined", undefined, "returned undefined for key"],
    ["a bigint", { count: 1n }, "state.count is a bigint"],
    ["a Map", { seen: new Map() }, "state.seen is a Map"],
  ])("that returns %s is told the path", async (_, state, message) => {
    await expectReported(but({ state }), message);
  });

  it("that changes its state in place is told so, and no event before it is touched", async () => {
    const usual = logFunction("log");
    const definition = {
      ...usual,
      handle: (state: { log: string[] }, event: TestEvent, context: never) => {
        if (event.id === "s3") state.log.push("oops");
        return usual.handle(state, event, context);
      },
    } as unknown as Log;
    await expectReported(definition, /frozen|in place/);
  });
});

describe("a key", () => {
  it.each([
    ["empty", "", "returned an empty string"],
    ["a number", 7, "returned number (7)"],
    ["undefined", undefined, "returned undefined"],
    ["an object", {}, "returned an object"],
    ["over 2048 bytes", "é".repeat(1025), "returned 2050 bytes of UTF-8"],
    ["with a lone surrogate", "\ud800", "lone surrogate"],
  ])("that is %s is named, with what is allowed", async (_, key, message) => {
    await expectReported(but({ key }), message);
    await expectReported(but({ key }), "a key is text of 1 to 2048 bytes of UTF-8");
  });

  it("of exactly 2048 bytes is one like any other", async () => {
    const world = new TestWorld();
    world.split("s", "aaa");
    const key = "k".repeat(2048);
    expect((await world.deliver("s", 1, 3, { definition: but({ key }) })).failedFrom).toBeUndefined();
    expect((await liveLogs(world)).get(key)).toEqual(["s3"]);
  });
});

describe("an event", () => {
  it("that the schema refuses is a dead letter at once, with the schema's words, and the batch goes on", async () => {
    const world = new TestWorld();
    world.split("s", "a!b");
    expect((await world.deliver("s", 1, 3)).failedFrom).toBeUndefined();
    expect(world.ofType("dead-letter")).toMatchObject([
      {
        position: at(2),
        error: expect.stringContaining("The schema of log refuses the event: event.key: a key is required"),
      },
    ]);
    await expectExactlyOnce(world);
  });

  it("that is no JSON is a dead letter at once", async () => {
    const world = new TestWorld();
    world.split("s", "aab");
    const records = world.source.records("s", 1, 3).map((record) => {
      return record.position === at(2) ? { ...record, payload: "{not json" } : record;
    });
    expect((await world.deliverRecords("s", records)).failedFrom).toBeUndefined();
    expect(world.ofType("dead-letter")[0]?.error).toMatch(
      /A record of function log cannot be read: SyntaxError: .* JSON/,
    );
    expect((await liveLogs(world)).get("a")).toEqual(["s1"]);
  });

  it("at which the schema itself throws is no refusal: it is tried again", async () => {
    const broken = {
      ...but({}),
      event: {
        "~standard": {
          version: 1,
          vendor: "test",
          validate: (value: unknown) => {
            if ((value as TestEvent).id === "s3") throw new Error("the schema is out of order");
            return { value };
          },
        },
      },
    } as Log;
    await expectReported(broken, "the schema is out of order");
  });
});

describe("a state over 400 KB on DynamoDB", () => {
  let dynamodb: TestDynamoDB;
  beforeAll(async () => {
    dynamodb = await startDynalite();
  });
  afterAll(() => dynamodb.close());

  async function onDynamoDB(): Promise<TestWorld> {
    const surroundings = access(dynamodb.client());
    const table = newTableName();
    await createStateTable(surroundings, table);
    const state = new DynamoDBStateBackend({ ...surroundings, tableOf: () => table });
    const world = new TestWorld({ triesMax: 2, stores: { state } });
    world.split("s", "aaabab");
    return world;
  }

  it("is refused before the write, by function, key, bytes and limit; the events before it stay", async () => {
    const world = await onDynamoDB();
    const definition = but({ state: { log: ["s1", "x".repeat(410_000)] } });
    const result = await world.deliver("s", 1, 6, { definition });
    expect(result.failedFrom?.position).toBe(at(3));
    expect(result.error?.kind).toBe("fix-function");
    expect(result.error?.message).toMatch(/log.*"a".*41\d[,_ ]?\d{3}.*40\d/s);
    expect((await liveLogs(world)).get("a")).toEqual(["s1", "s2"]);
    await world.deliverUntilDone("s", 3, 6, { definition });
    await expectAllResolved(world);
    await world.checkpoint();
    await expectPromise(world);
  });
});
