/**
 * Invariants:
 * - A value that crosses to another process, by either way, comes out as it went in.
 * - What is thrown comes out with kind, name, message, stack, fields and causes.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { decodeCall, encodeCall, receiveError, type SentError, sendError } from "../../local/call-codec.ts";
import type { Engine } from "../../local/engine.ts";
import { openHome } from "../../local/home.ts";
import { askRun, openRunControl, type RunControl } from "../../local/run-control.ts";
import { type ErrorKind, TidemarkError } from "../../shared/errors.ts";
import fc from "../support/properties.ts";

/** All that an argument or an answer may hold. */
const values = fc.letrec((tie) => ({
  leaf: fc.oneof(
    fc.constantFrom<unknown>(undefined, null, Number.NaN, -0, Number.POSITIVE_INFINITY, "", "__proto__"),
    fc.boolean(),
    fc.double(),
    fc.bigInt(),
    fc.string({ unit: "binary" }),
    fc.date(),
    fc.uint8Array(),
  ),
  value: fc.oneof(
    { maxDepth: 3 },
    tie("leaf"),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(fc.string(), tie("value"), { maxKeys: 4, noNullPrototype: true }),
    fc.tuple(tie("value"), tie("value")).map(([key, value]) => new Map([[key, value]])),
  ),
})).value;

const KINDS: readonly ErrorKind[] = ["retry", "fix-configuration", "fix-function", "fix-event", "report-bug"];
const leafError = fc.oneof(
  fc.tuple(fc.constantFrom(...KINDS), fc.string()).map(([kind, message]) => new TidemarkError(kind, message)),
  fc.tuple(fc.constantFrom(Error, TypeError, RangeError), fc.string()).map(([Kind, message]) => new Kind(message)),
  fc
    .string()
    .map((message) => Object.assign(new Error(message), { name: "ThrottlingException", code: "E1", tries: 7 })),
);
const errors = fc.array(leafError, { minLength: 1, maxLength: 4 }).map((row) => {
  for (const [index, error] of row.entries()) {
    if (index > 0) Object.defineProperty(row[index - 1], "cause", { value: error });
  }
  return row[0] as Error;
});

function expectSame(received: unknown, thrown: unknown): void {
  const [left, right] = [received as Error, thrown as Error];
  expect(left).toBeInstanceOf(Error);
  expect([left.name, left.message, left.stack]).toEqual([right.name, right.message, right.stack]);
  expect(left instanceof TidemarkError).toBe(right instanceof TidemarkError);
  expect((left as TidemarkError).kind).toBe((right as TidemarkError).kind);
  expect({ ...left, name: "" }).toEqual({ ...right, name: "" });
  if (right.cause === undefined) expect(left.cause).toBeUndefined();
  else expectSame(left.cause, right.cause);
}

describe("the codec of calls", () => {
  test("gives back any value as it was", () => {
    fc.assert(
      fc.property(fc.array(values), (given) => {
        expect(decodeCall(encodeCall(given))).toStrictEqual(given);
      }),
      { numRuns: 1_000 },
    );
  });

  test("gives back any error, with its causes", () => {
    fc.assert(
      fc.property(errors, (thrown) => {
        expectSame(receiveError(decodeCall(encodeCall(sendError(thrown))) as SentError), thrown);
      }),
      { numRuns: 500 },
    );
  });

  test("follows causes that are a ring to a bound", () => {
    const error = new Error("a ring");
    error.cause = error;
    let depth = 0;
    for (let at: Error | undefined = receiveError(sendError(error)); at !== undefined; at = at.cause as Error) depth++;
    expect(depth).toBe(9);
  });
});

describe("the control of a live run", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "tidemark-control-"));
  let answer: (given: readonly unknown[]) => unknown;
  let control: RunControl;
  const home = openHome(folder);
  const lock = home.lockRun();
  beforeAll(async () => {
    const method = async (...given: readonly unknown[]) => answer(given);
    const engine = { home, state: method, statePage: method, checkpoint: method, restore: method };
    control = await openRunControl({ ...engine, restoreStatus: method } as unknown as Engine);
  });
  afterAll(async () => {
    await control.close();
    lock.release();
    rmSync(folder, { recursive: true, force: true });
  });

  test("brings every argument there and every answer back as it was", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(values, { maxLength: 3 }), values, async (given, wanted) => {
        let got: unknown;
        answer = (args) => {
          got = args;
          return wanted;
        };
        const ask = askRun as (...args: readonly unknown[]) => Promise<unknown>;
        expect(await ask(home, "statePage", ...given)).toStrictEqual(wanted);
        expect(got).toStrictEqual(given);
      }),
      { numRuns: 100 },
    );
  });

  test("leaves an optional argument that is not given ungiven", async () => {
    answer = (given) => ({ given });
    expect(await askRun(home, "statePage", "counting", undefined)).toEqual({ given: ["counting", undefined] });
  });

  test("brings every error back", async () => {
    await fc.assert(
      fc.asyncProperty(errors, async (thrown) => {
        answer = () => {
          throw thrown;
        };
        expectSame(await askRun(home, "restoreStatus").catch((caught: unknown) => caught), thrown);
      }),
      { numRuns: 100 },
    );
  });

  test("answers nobody without its token, from a page, or by another name", async () => {
    const { port, token } = home.readRunAddress() ?? { port: 0, token: "" };
    const url = `http://127.0.0.1:${port}/`;
    const authorization = `Bearer ${token}`;
    const body = Uint8Array.from(encodeCall({ method: "restoreStatus", arguments: [] }));
    let asked = 0;
    answer = () => ++asked;
    for (const headers of [{}, { authorization: "Bearer wrong" }, { authorization, origin: "http://evil.example" }]) {
      const refused = await fetch(url, { method: "POST", headers: headers as Record<string, string>, body });
      expect(refused.status).toBe(403);
      expect(refused.headers.get("access-control-allow-origin")).toBeNull();
    }
    expect(asked).toBe(0);
    expect((await fetch(url, { method: "POST", headers: { authorization }, body })).status).toBe(200);
    expect(asked).toBe(1);
  });

  test("says that the versions differ where an answer is of another form", async () => {
    const server = createServer((_, outgoing) => outgoing.setHeader("content-type", "application/json").end("{}"));
    await once(server.listen(0, "127.0.0.1"), "listening");
    const address = home.readRunAddress();
    if (address === undefined) throw new Error("no address");
    home.writeRunAddress({ ...address, port: (server.address() as AddressInfo).port });
    await expect(askRun(home, "restoreStatus")).rejects.toThrow("Use the version of Tidemark and of Node");
    home.writeRunAddress(address);
    server.closeAllConnections();
    server.close();
  });
});

describe("the channel to a worker", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "tidemark-channel-"));
  const echo = path.join(folder, "echo.mjs");
  writeFileSync(echo, "process.on('message', (message) => process.send(message));");
  const child = fork(echo, [], { serialization: "advanced" });
  afterAll(() => {
    child.disconnect();
    rmSync(folder, { recursive: true, force: true });
  });

  test("brings every value there and back as it was", async () => {
    await fc.assert(
      fc.asyncProperty(values, async (value) => {
        const back = once(child, "message");
        child.send({ value });
        expect((await back)[0]).toStrictEqual({ value });
      }),
      { numRuns: 200 },
    );
  });
});
