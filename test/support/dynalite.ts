import type { Server } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import {
  DeleteTableCommand,
  DynamoDBClient,
  type DynamoDBClientConfig,
  ListTablesCommand,
} from "@aws-sdk/client-dynamodb";
import { systemClock, systemRandomness } from "../../shared/environment.ts";

const dynalite: (options: Record<string, unknown>) => Server = createRequire(import.meta.url)("dynalite");

export interface TestDynamoDB {
  readonly endpoint: string;
  /** A client of it; closed with it. `maxAttempts` is 1 unless told otherwise, so that tests see every answer. */
  client(config?: DynamoDBClientConfig): DynamoDBClient;
  close(): Promise<void>;
}

/** dynalite in this process on a port of its own, in memory or, with `path`, kept on disk. */
export async function startDynalite(
  options: { readonly path?: string; readonly createTableMs?: number } = {},
): Promise<TestDynamoDB> {
  const server = dynalite({ createTableMs: 0, deleteTableMs: 0, ...options });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const clients: DynamoDBClient[] = [];
  return {
    endpoint,
    client: (config) => connect(endpoint, clients, config),
    async close() {
      for (const client of clients) client.destroy();
      server.closeAllConnections();
      await new Promise<void>((resolve, reject) => server.close((error) => (error ? reject(error) : resolve())));
    },
  };
}

/** What the tests run on: the service at `AWS_ENDPOINT_URL` (stricter than dynalite) if that is set, else dynalite. */
export async function startDynamoDB(): Promise<TestDynamoDB> {
  const endpoint = process.env.AWS_ENDPOINT_URL_DYNAMODB ?? process.env.AWS_ENDPOINT_URL;
  if (endpoint === undefined) return startDynalite();
  const clients: DynamoDBClient[] = [];
  const started = new Set((await connect(endpoint, clients).send(new ListTablesCommand({}))).TableNames);
  return {
    endpoint,
    client: (config) => connect(endpoint, clients, config),
    async close() {
      const client = connect(endpoint, clients);
      for (const TableName of (await client.send(new ListTablesCommand({}))).TableNames ?? []) {
        if (TableName.startsWith(TABLE_PREFIX) && !started.has(TableName)) {
          await client.send(new DeleteTableCommand({ TableName }));
        }
      }
      for (const one of clients) one.destroy();
    },
  };
}

const TABLE_PREFIX = `tidemark-test-${process.pid}-`;

/** A table name that no other test uses. */
export const newTableName = (): string => `${TABLE_PREFIX}${systemRandomness.token().replace(/[^\w]/g, "")}`;

/** The surroundings that adapters take, with waits that suit a test. */
export const access = (client: DynamoDBClient, patienceMs = 10_000) => ({
  client,
  clock: systemClock,
  randomness: systemRandomness,
  patienceMs,
});

function connect(endpoint: string, clients: DynamoDBClient[], config: DynamoDBClientConfig = {}): DynamoDBClient {
  const client = new DynamoDBClient({
    endpoint,
    region: "us-east-1",
    credentials: { accessKeyId: "test", secretAccessKey: "test" },
    maxAttempts: 1,
    ...config,
  });
  clients.push(client);
  return client;
}
