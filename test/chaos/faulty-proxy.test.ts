/** Each fault on the wire is what it says, seen by a client and by what is behind the proxy. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Fault, type FaultyProxy, startFaultyProxy } from "../support/faulty-proxy.ts";

let server: Server;
let proxy: FaultyProxy;
let fault: Fault | undefined;
/** Called when a request has come to the proxy. */
let met: () => void;
/** Bodies that arrived behind the proxy. */
let arrived: unknown[];

beforeEach(async () => {
  arrived = [];
  met = () => {};
  server = createServer((incoming, outgoing) => {
    let body = "";
    incoming.on("data", (chunk: Buffer) => {
      body += chunk;
    });
    incoming.on("end", () => {
      arrived.push(JSON.parse(body));
      outgoing.writeHead(200, { "x-amz-crc32": "1" }).end(JSON.stringify({ number: arrived.length }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  proxy = await startFaultyProxy(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, () => {
    met();
    return fault;
  });
});
afterEach(async () => {
  await proxy.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

async function send(operation: string, body: object): Promise<{ readonly status: number; readonly body: unknown }> {
  const answer = await fetch(proxy.endpoint, {
    method: "POST",
    headers: { "x-amz-target": `DynamoDB_20120810.${operation}` },
    body: JSON.stringify(body),
  });
  return { status: answer.status, body: await answer.json() };
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 5));
}

test("without a fault a request and its answer pass as they are", async () => {
  fault = undefined;
  expect(await send("PutItem", { a: 1 })).toEqual({ status: 200, body: { number: 1 } });
  expect(arrived).toEqual([{ a: 1 }]);
});

test("a throttled request is refused and never arrives", async () => {
  fault = "throttle";
  expect(await send("PutItem", {})).toMatchObject({ status: 400 });
  expect(arrived).toEqual([]);
});

test("a reset request never arrives, and its sender sees the connection break", async () => {
  fault = "reset";
  await expect(send("PutItem", {})).rejects.toThrow();
  expect(arrived).toEqual([]);
});

test.each(["lose-answer", "cut-answer"] as const)(
  "%s: the request arrives, and no whole answer comes back",
  async (which) => {
    fault = which;
    await expect(send("PutItem", { a: 1 })).rejects.toThrow();
    expect(arrived).toEqual([{ a: 1 }]);
  },
);

test("a duplicate arrives twice before the second answer is given", async () => {
  fault = "duplicate";
  expect(await send("PutItem", { a: 1 })).toEqual({ status: 200, body: { number: 2 } });
});

test("a late duplicate is answered first and arrives again later", async () => {
  fault = { againMs: 30 };
  expect(await send("PutItem", { a: 1 })).toEqual({ status: 200, body: { number: 1 } });
  expect(arrived).toHaveLength(1);
  await until(() => arrived.length === 2);
});

test("a delayed request arrives though its sender has left", async () => {
  fault = { delayMs: 300 };
  const leaving = new AbortController();
  met = () => leaving.abort();
  await expect(fetch(proxy.endpoint, { method: "POST", body: '{"a":1}', signal: leaving.signal })).rejects.toThrow();
  expect(arrived).toEqual([]);
  await until(() => arrived.length === 1);
});

test("of a partial batch half arrives, and the rest comes back as unprocessed", async () => {
  fault = "partial";
  const { body } = await send("BatchGetItem", { RequestItems: { t: { Keys: [1, 2, 3], ConsistentRead: true } } });
  expect(arrived).toEqual([{ RequestItems: { t: { Keys: [1, 2], ConsistentRead: true } } }]);
  expect(body).toEqual({ number: 1, UnprocessedKeys: { t: { Keys: [3], ConsistentRead: true } } });
  const written = await send("BatchWriteItem", { RequestItems: { t: ["a", "b"] } });
  expect(arrived[1]).toEqual({ RequestItems: { t: ["a"] } });
  expect(written.body).toEqual({ number: 2, UnprocessedItems: { t: ["b"] } });
});
