/**
 * Invariant: whatever sequence of requests of the adapters' kind is sent, DynamoDB in memory answers each as dynalite
 * does, and as the DynamoDB of LocalStack where `AWS_ENDPOINT_URL` is set; errors mean the same to the adapters.
 */
import type { AttributeValue } from "@aws-sdk/client-dynamodb";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createControlTable } from "../../../../shared/control/dynamodb/control-table.ts";
import { asTidemarkError } from "../../../../shared/dynamodb/dynamodb-errors.ts";
import { systemClock, systemRandomness } from "../../../../shared/environment.ts";
import { TidemarkError } from "../../../../shared/errors.ts";
import { access, newTableName, startDynalite, startDynamoDB, type TestDynamoDB } from "../../../support/dynalite.ts";
import fc from "../../../support/properties.ts";
import { readDecimal, writeDecimal } from "./decimal.ts";
import { memoryClient } from "./memory-client.ts";
import { MemoryDynamoDB } from "./memory-dynamodb.ts";
import { type Request, requests } from "./requests.ts";

type Send = (command: object) => Promise<object>;

/** What an adapter can tell of an answer. */
async function outcome(send: Send, request: Request, table: string): Promise<object> {
  const command = request.on(table);
  try {
    const { $metadata: _, ConsumedCapacity: __, ...answer } = (await send(command)) as Record<string, unknown>;
    return inOneForm(answer);
  } catch (error) {
    const told = asTidemarkError(error, "trying");
    if (error instanceof Error && error.name === "UnknownToTheWire") throw error;
    return {
      error: (error as Error).name,
      kind: told instanceof TidemarkError && !request.flawed ? told.kind : undefined,
    };
  }
}

/** Numbers in plain text; items and keys of a batch in one order; what is empty or undefined left out. */
function inOneForm(answer: unknown): object {
  return JSON.parse(
    JSON.stringify(answer, (name, value: unknown) => {
      if (name === "N" && typeof value === "string") {
        const decimal = readDecimal(value);
        return typeof decimal === "string" ? decimal : writeDecimal(decimal);
      }
      if (name === "Responses" || name === "Items") return sorted(value);
      if ((name === "UnprocessedKeys" || name === "UnprocessedItems") && Object.keys(value as object).length === 0)
        return undefined;
      return value !== null && typeof value === "object" && !Array.isArray(value) ? inOrder(value) : value;
    }),
  );
}

const inOrder = (object: object): object =>
  Object.fromEntries(Object.entries(object).sort(([a], [b]) => (a < b ? -1 : 1)));

function sorted(value: unknown): unknown {
  const items = (Array.isArray(value) ? value : Object.values(value as object).flat()) as Record<
    string,
    AttributeValue
  >[];
  const place = (item: Record<string, AttributeValue>) => JSON.stringify([item.pk, item.sk, item]);
  return items.map(inOrder).sort((a, b) => (place(a as never) < place(b as never) ? -1 : 1));
}

function agreesWith(name: string, start: () => Promise<TestDynamoDB>, runs: number): void {
  describe(`DynamoDB in memory and ${name}`, () => {
    let other: TestDynamoDB;
    beforeAll(async () => {
      other = await start();
    });
    afterAll(() => other.close());

    it("answer every sequence of requests alike", async () => {
      const client = other.client();
      const seen = new Map<string, number>();
      await fc.assert(
        fc.asyncProperty(fc.array(requests, { minLength: 10, maxLength: 20 }), async (sequence) => {
          const memory = new MemoryDynamoDB();
          const table = newTableName();
          await createControlTable(
            { client: memoryClient(memory), clock: systemClock, randomness: systemRandomness },
            table,
          );
          await createControlTable(access(client), table);
          for (const request of sequence) {
            const here = await outcome(async (command) => memory.answer(command), request, table);
            const there = await outcome((command) => client.send(command as never), request, table);
            expect(here, request.text).toEqual(there);
            count(seen, request, here);
          }
        }),
        { numRuns: runs },
      );
      // Of each command, and of each error, there were some: else agreement would say little.
      for (const [kind, times] of seen) expect(times, kind).toBeGreaterThan(0);
      expect([...seen.keys()].sort()).toEqual([
        "ConditionalCheckFailedException",
        "ValidationException",
        "ValidationException fix-configuration",
        "ValidationException report-bug",
        "delete",
        "delete many",
        "get",
        "get many",
        "put",
        "query",
        "scan",
        "update",
      ]);
    }, 300_000);
  });
}

function count(seen: Map<string, number>, request: Request, answer: object): void {
  const { error, kind } = answer as { error?: string; kind?: string };
  const name =
    error === undefined ? (request.text.match(/^[a-z ]+(?= \{)/)?.[0] ?? "") : [error, kind].filter(Boolean).join(" ");
  seen.set(name, (seen.get(name) ?? 0) + 1);
}

agreesWith("dynalite", startDynalite, 30);
if (process.env.AWS_ENDPOINT_URL !== undefined) agreesWith("AWS_ENDPOINT_URL", startDynamoDB, 20);
