import { describe, expect, test } from "vitest";
import { asError, describeThrown, ERROR_BYTES_MAX, TidemarkError } from "../../shared/errors.ts";
import { STRANGE } from "../support/strange-values.ts";

describe("describeThrown", () => {
  test.each(STRANGE)("describes %s", (_what, thrown, said) => {
    if (typeof said === "string") expect(describeThrown(thrown)).toBe(said);
    else expect(describeThrown(thrown)).toMatch(said);
  });

  test.each([
    ["a message", new Error("x".repeat(3_000_000))],
    ["a message of three bytes a letter", new Error("日".repeat(3_000_000))],
    ["a message of pairs of surrogates", new Error(`x${"😀".repeat(1_000_000)}`)],
    ["a name", Object.assign(new Error("m"), { name: "n".repeat(3_000_000) })],
    ["text", "x".repeat(3_000_000)],
    ["an object's member", { text: "x".repeat(3_000_000) }],
    ["an object's name", { ["x".repeat(3_000_000)]: 1 }],
    ["many members", Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`name${index}`, index]))],
    ["an AggregateError", new AggregateError(Array(1_000).fill(new Error("x".repeat(100_000))), "x".repeat(100_000))],
    ["a symbol", Symbol("x".repeat(3_000_000))],
  ])("keeps to its bytes where %s is huge, and says that it was cut", (_what, thrown) => {
    for (const bytesMax of [200, ERROR_BYTES_MAX]) {
      const said = describeThrown(thrown, bytesMax);
      expect(Buffer.byteLength(said)).toBeLessThanOrEqual(bytesMax);
      expect(said).toMatch(/… \(cut, of \d+ characters\)(: m)?$/);
      expect(said).not.toContain("\ufffd");
    }
  });

  test("leaves a message that just fits as it is", () => {
    const message = "x".repeat(ERROR_BYTES_MAX - "Error: ".length);
    expect(describeThrown(new Error(message))).toBe(`Error: ${message}`);
    expect(describeThrown(new Error(`${message}x`))).toContain("(cut, of 8193 characters)");
  });

  test("replaces a lone surrogate, which no store takes", () => {
    expect(describeThrown(new Error("cut emoji \ud83d"))).toBe("Error: cut emoji \ufffd");
  });
});

describe("a TidemarkError", () => {
  test("is told from anything else without running its code", () => {
    class Stopped extends TidemarkError {}
    const made = new TidemarkError("retry", "later");
    expect(made instanceof TidemarkError).toBe(true);
    expect(made instanceof Stopped).toBe(false);
    expect(new Stopped("retry", "later") instanceof Stopped).toBe(true);
    for (const [, thrown] of STRANGE) expect(thrown instanceof TidemarkError).toBe(false);
  });

  test("has a message of 16 KB at most", () => {
    expect(Buffer.byteLength(new TidemarkError("retry", "日".repeat(100_000)).message)).toBeLessThanOrEqual(16_384);
  });
});

describe("asError", () => {
  test.each(STRANGE)("makes an error whose members can be read of %s", (_what, thrown) => {
    const error = asError(thrown);
    expect([error.name, error.message, error.stack].map((text) => typeof text)).toEqual(["string", "string", "string"]);
  });

  test("leaves an error as it is, and none that is long", () => {
    const error = new TypeError("m");
    expect(asError(error)).toBe(error);
    expect(asError(new Error("x".repeat(3_000_000))).message.length).toBeLessThanOrEqual(ERROR_BYTES_MAX);
  });
});
