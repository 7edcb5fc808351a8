/** What users and their data get wrong: each is named, and nothing is lost. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type DeadLetter, listDeadLetters } from "../../shared/dead-letter/dead-letter.ts";
import type { FunctionDefinition } from "../../shared/function/function-definition.ts";
import { DynamoDBStateBackend } from "../../shared/state/dynamodb/dynamodb-state-backend.ts";
import { createStateTable } from "../../shared/state/dynamodb/state-table.ts";
import { access, newTableName, startDynalite, type TestDynamoDB } from "../support/dynalite.ts";
import { expectAllResolved, expectExactlyOnce, expectPromise, liveLogs } from "../support/oracle.ts";
import { revoked, STRANGE, trapped } from "../support/strange-values.ts";
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

/** s3 is what goes wrong: where nothing else is taken, it is reported, and tried again; with all before it committed. */
async function expectReported(definition: Log, message: string | RegExp): Promise<void> {
  const world = new TestWorld({ triesMax: 2 });
  world.split("s", "aba");
  await world.deliver("s", 1, 2, { definition });
  const result = await world.deliver("s", 3, 3, { definition });
  expect(result.failedFrom?.itemIdentifier).toBe(at(3));
  expect(result.error?.kind).toBe("fix-function");
  expect(result.error?.message).toMatch(asPattern(message));
  expect(await world.itemOf("s")).toMatchObject({ position: at(2), failing: { position: at(3), tries: 1 } });
  expect(Object.fromEntries(await liveLogs(world))).toEqual({ a: ["s1"], b: ["s2"] });
  await expectGivenUp(definition, message, 2);
}

/** In the same delivery, after so many tries; everything else is folded. */
async function expectGivenUp(definition: Log, message: string | RegExp, tries: number): Promise<void> {
  const world = new TestWorld({ triesMax: 2 });
  world.split("s", "ababb");
  expect((await world.deliver("s", 1, 5, { definition })).failedFrom).toBeUndefined();
  const letters = [];
  for await (const letter of listDeadLetters(world.stores.storage, "log")) letters.push(letter);
  const error = expect.stringMatching(asPattern(message));
  expect(letters).toMatchObject([{ position: at(3), cause: "failed", tries, error }]);
  expect(world.ofType("dead-letter")).toMatchObject([{ position: at(3), cause: "failed", error }]);
  expect(world.ofType("record-failed")).toEqual([]);
  await expectAllResolved(world);
  expect((await world.itemOf("s"))?.holes).toMatchObject([{ cause: "dead-letter", from: at(3), to: at(3) }]);
  await world.checkpoint();
  await expectPromise(world);
}

const asPattern = (message: string | RegExp): RegExp =>
  typeof message === "string" ? new RegExp(message.replace(/[[\]().$]/g, "\\$&")) : message;

const cycle: { self?: unknown } = {};
cycle.self = cycle;

function endless(): object {
  return {
    get inner() {
      return endless();
    },
    get other() {
      return endless();
    },
  };
}

function nested(levels: number): object {
  let value = {};
  for (let level = 0; level < levels; level++) value = { value };
  return value;
}

function doubled(levels: number): object {
  let value = {};
  for (let level = 0; level < levels; level++) value = { a: value, b: value };
  return value;
}

function throwing(name: string): object {
  return Object.defineProperty({}, name, {
    enumerable: true,
    get: () => {
      throw new Error("in getter");
    },
  });
}

async function lettersOf(world: TestWorld): Promise<DeadLetter[]> {
  const letters: DeadLetter[] = [];
  for await (const letter of listDeadLetters(world.stores.storage)) letters.push(letter);
  return letters;
}

describe("a handler", () => {
  it("that throws at record i: all before it committed, i reported, the rest delivered again", async () => {
    await expectReported(but({ throws: new RangeError("no such airport") }), "RangeError: no such airport");
  });

  it("that throws what is no error is reported all the same", async () => {
    await expectReported(but({ throws: "just text" }), "just text");
  });

  it.each(STRANGE)(
    "that throws %s is reported, passed after its tries, and described in the letter",
    async (_, throws, said) => {
      const world = new TestWorld({ triesMax: 2 });
      world.split("s", "ababb");
      await world.deliverUntilDone("s", 1, 5, { definition: but({ throws }) });
      await expectAllResolved(world);
      const [letter] = await lettersOf(world);
      expect(letter).toMatchObject({
        position: at(3),
        tries: 2,
        error: typeof said === "string" ? said : expect.stringMatching(said),
      });
    },
  );

  it("that throws a message of 3 MB leaves 8 KB of it in the split's item and in the letter", async () => {
    const world = new TestWorld({ triesMax: 2 });
    world.split("s", "ababb");
    const definition = but({ throws: new Error(`x${"日".repeat(1_000_000)}`) });
    await world.deliver("s", 1, 2, { definition });
    await world.deliver("s", 3, 3, { definition });
    expect(Buffer.byteLength((await world.itemOf("s"))?.failing?.error ?? "")).toBeLessThanOrEqual(8_192);
    expect((await world.itemOf("s"))?.failing?.tries).toBe(1);
    await world.deliverUntilDone("s", 3, 5, { definition });
    const [letter] = await lettersOf(world);
    expect(Buffer.byteLength(letter?.error ?? "")).toBeLessThanOrEqual(8_192);
    expect(letter?.error).toMatch(/^Error: x日{2700,}… \(cut, of \d+ characters\)$/);
  });

  it("that answers with a promise of a library's own is waited for", async () => {
    const usual = logFunction("log");
    const definition = {
      ...usual,
      handle: (...given: Parameters<typeof usual.handle>) => ({
        // biome-ignore lint/suspicious/noThenProperty: it is what is tested
        then: (resolve: (state: unknown) => void) => {
          setTimeout(() => resolve(usual.handle(...given)), 1);
        },
      }),
    } as unknown as Log;
    const world = new TestWorld();
    world.split("s", "aaba");
    expect((await world.deliver("s", 1, 4, { definition })).failedFrom).toBeUndefined();
    await expectExactlyOnce(world);
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
    ["a bigint of 39 digits", { count: 10n ** 38n }, "state.count is a BigInt"],
    ["a Map", { seen: new Map() }, "state.seen is a Map"],
    [
      "a getter",
      {
        log: [],
        get count() {
          throw new Error("in getter");
        },
      },
      "state.count is a getter",
    ],
    ["a getter without end", endless(), "state.inner is a getter"],
    ["a proxy", { log: [], inner: new Proxy({}, {}) }, "state.inner is a Proxy"],
    ["a proxy that throws", { inner: trapped() }, "state.inner is a Proxy"],
    ["a revoked proxy", { inner: revoked() }, "state.inner is a Proxy"],
    ["what is nested 100,000 levels deep", nested(100_000), "nested deeper than the 30 levels"],
    ["a billion values, most of them the same", doubled(29), "holds more than 1000000 values"],
  ])("that returns %s is told the path, and is not asked again", async (_, state, message) => {
    await expectGivenUp(but({ state }), message, 1);
  });

  it("that returns a promise that throws is one that throws", async () => {
    await expectReported(but({ state: throwing("then") }), "in getter");
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
    ["a proxy that throws", trapped(), "returned an object"],
    ["a function that is a revoked proxy", Object.assign(revoked, {}), "returned function ("],
    ["a symbol", Symbol("k"), "returned symbol (Symbol(k))"],
    ["over 2048 bytes", "é".repeat(1025), "returned 2050 bytes of UTF-8"],
    ["with a lone surrogate", "\ud800", "lone surrogate"],
  ])("that is %s is named, with what is allowed", async (_, key, message) => {
    await expectGivenUp(but({ key }), message, 1);
    await expectGivenUp(but({ key }), "a key is text of 1 to 2048 bytes of UTF-8", 1);
  });

  it("of exactly 2048 bytes is one like any other", async () => {
    const world = new TestWorld();
    world.split("s", "aaa");
    const key = "k".repeat(2048);
    expect((await world.deliver("s", 1, 3, { definition: but({ key }) })).failedFrom).toBeUndefined();
    expect((await liveLogs(world)).get(key)).toEqual(["s3"]);
  });
});

/** A schema that answers so for s3, and takes every other event. */
function answering(answer: unknown): Log {
  const validate = (value: unknown) => ((value as TestEvent).id === "s3" ? answer : { value });
  return { ...but({}), event: { "~standard": { version: 1, vendor: "test", validate } } } as Log;
}

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

  it.each([
    ["null", null, "answered null"],
    ["undefined", undefined, "answered undefined"],
    ["text", "no", "answered 'no'"],
    ["a proxy that throws", trapped(), "Error: trap"],
    ["issues that are no list", { issues: true }, "answered issues that are true"],
    ["null for issues", { issues: null }, "answered issues that are null"],
    ["a promise that throws", throwing("then"), "Error: in getter"],
    ["a promise of null", Promise.resolve(null), "answered null"],
  ])("at which the schema answers %s is no refusal: it is tried again", async (_, answer, said) => {
    await expectReported(answering(answer), said);
  });

  it.each([
    ["whose message throws", [throwing("message")], "event: { message: [Getter] }"],
    ["whose message is no text", [{ message: { code: 7 } }], "event: { code: 7 }"],
    ["whose path throws", [{ message: "m", path: trapped() }], "event: m"],
    ["whose path is no list", [{ message: "m", path: 7 }], "event: m"],
    [
      "whose path has odd segments",
      [{ message: "m", path: [{ key: "a" }, null, { no: 1 }, 2] }],
      "event.a[null][undefined][2]: m",
    ],
    ["that is null", [null], "event: null"],
    ["that is a revoked proxy", [revoked()], "event: a Proxy"],
    ["of a million segments", [{ message: "m", path: Array(1_000_000).fill("x") }], "event.x.x"],
    ["of three megabytes", [{ message: "x".repeat(3_000_000) }], "(cut, of"],
    ["that are a million", Array(1_000_000).fill({ message: "m" }), "and 999995 more"],
  ])("refused by issues %s is a dead letter at once that says what can be said", async (_, issues, said) => {
    const world = new TestWorld();
    world.split("s", "abab");
    expect((await world.deliver("s", 1, 4, { definition: answering({ issues }) })).failedFrom).toBeUndefined();
    const [letter] = await lettersOf(world);
    expect(letter).toMatchObject({ position: at(3), cause: "refused", error: expect.stringContaining(said) });
    expect(Buffer.byteLength(letter?.error ?? "")).toBeLessThanOrEqual(8_192);
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
    expect((await world.deliver("s", 1, 6, { definition })).failedFrom).toBeUndefined();
    const error = expect.stringMatching(/log.*"a".*41\d[,_ ]?\d{3}.*40\d/s);
    expect(world.ofType("dead-letter")).toMatchObject([{ position: at(3), cause: "failed", error }]);
    expect((await liveLogs(world)).get("a")).toEqual(["s1", "s2", "s5"]);
    await expectAllResolved(world);
    await world.checkpoint();
    await expectPromise(world);
  });
});
