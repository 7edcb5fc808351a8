import { describe, expect, it } from "vitest";
import { checkKey } from "../../../shared/function/check-key.ts";
import { checkState } from "../../../shared/function/check-state.ts";
import { hashedKey, plainKey } from "../../../shared/function/name-key.ts";
import { DynamoDBStateBackend } from "../../../shared/state/dynamodb/dynamodb-state-backend.ts";
import { eventOf, TestWorld } from "../../support/test-world.ts";

const SECRET = "alice@example.com";
const HASH = "#ff8d9819fc0e12bf";

const messageOf = (act: () => unknown): string => {
  try {
    act();
  } catch (thrown) {
    return (thrown as Error).message;
  }
  throw new Error("nothing was thrown");
};

describe("a key in a message", () => {
  it("is shown as it is, cut short, or by the beginning of its SHA-256", () => {
    expect(plainKey(SECRET)).toBe(`"${SECRET}"`);
    expect(plainKey("x".repeat(100))).toBe(`"${"x".repeat(40)}…"`);
    expect(hashedKey(SECRET)).toBe(HASH);
  });

  const backend = new DynamoDBStateBackend({
    client: { send: () => Promise.reject(new Error("not asked")) } as never,
    ...{ clock: {} as never, randomness: {} as never },
    tableOf: () => "table",
    nameKey: hashedKey,
  });
  const item = (key: string, text: string) => ({
    ...{ key, generation: 1, v: "v", epoch: 1, applied: {} },
    state: { value: text, version: 1 },
  });

  it.each([
    ["of a state that is missing", () => checkState("f", SECRET, undefined, hashedKey)],
    ["of a state that is no JSON", () => checkState("f", SECRET, { at: new Date(0) }, hashedKey)],
    ["that is too long", () => checkKey("f", SECRET.repeat(200), hashedKey)],
    ["that is no text", () => checkKey("f", 4_111_111_111, hashedKey)],
    ["of a state that is too large", () => backend.refuseOversized("f", item(SECRET, "x".repeat(500_000)))],
    ["that DynamoDB cannot take", () => backend.refuseOversized("f", item(SECRET.repeat(200), "x"))],
  ])("%s is hashed where keys are not to be logged", (_what, act) => {
    const message = messageOf(act);
    expect(message).toMatch(/#[0-9a-f]{16}/);
    expect(message).not.toMatch(/alice|4111111111/);
  });

  it("is hashed in what a batch notes, logs and answers of a failure", async () => {
    const world = new TestWorld();
    const value = { ...(eventOf("s", 1, "a") as object), key: SECRET };
    world.source.add("s", [value]);
    const engine = world.engine({});
    const definition = { ...engine.definition, handle: () => undefined };
    const resources = { ...world.resources(), nameKey: hashedKey };
    const { processBatch } = await import("../../../shared/batch/process-batch.ts");
    const result = await processBatch(
      { ...engine, definition: definition as never, resources },
      { split: "s", records: world.source.records("s", 1, 1), role: { phase: "RUNNING" }, deadlineMs: Infinity },
    );
    const said = [result.error?.message, JSON.stringify(world.events), JSON.stringify(await world.itemOf("s"))].join();
    expect(said).toContain(HASH);
    expect(said).not.toContain("alice");
  });
});
