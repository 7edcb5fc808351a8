import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { type AddressInfo, createServer } from "node:net";
import path from "node:path";
import {
  CreateStreamCommand,
  DeleteStreamCommand,
  DescribeStreamSummaryCommand,
  KinesisClient,
  ListStreamsCommand,
  PutRecordCommand,
} from "@aws-sdk/client-kinesis";
import { NodeHttpHandler } from "@smithy/node-http-handler";

export interface TestKinesis {
  readonly endpoint: string;
  readonly client: KinesisClient;
  /** A client of another endpoint (a proxy) with the same settings; closed with this one. */
  clientOf(endpoint: string): KinesisClient;
  /** Makes a stream of a name of its own, removed when this is closed. */
  createStream(shards: number): Promise<string>;
  close(): Promise<void>;
}

/** What the tests run on: the service at `AWS_ENDPOINT_URL` if that is set, else kinesis-local as a child process. */
export async function startKinesis(): Promise<TestKinesis> {
  const given = process.env.AWS_ENDPOINT_URL_KINESIS ?? process.env.AWS_ENDPOINT_URL;
  const child = given === undefined ? await spawnKinesisLocal() : undefined;
  const endpoint = given ?? (child as { endpoint: string }).endpoint;
  const clients: KinesisClient[] = [];
  const clientOf = (of: string): KinesisClient => {
    const client = new KinesisClient({
      endpoint: of,
      region: "us-east-1",
      credentials: { accessKeyId: "test", secretAccessKey: "test" },
      maxAttempts: 1,
      // The SDK speaks HTTP/2 to Kinesis, which emulators do not.
      requestHandler: new NodeHttpHandler(),
    });
    clients.push(client);
    return client;
  };
  const client = clientOf(endpoint);
  const streams: string[] = [];
  const close = async (): Promise<void> => {
    if (child === undefined) {
      for (const StreamName of streams) await client.send(new DeleteStreamCommand({ StreamName }));
    }
    for (const one of clients) one.destroy();
    await child?.stop();
  };
  try {
    await until(30_000, "Kinesis answers", async () => {
      await client.send(new ListStreamsCommand({}));
      return true;
    });
  } catch (error) {
    await close();
    throw error;
  }
  return {
    endpoint,
    client,
    clientOf,
    close,
    async createStream(shards) {
      const StreamName = `tidemark-test-${process.pid}-${Date.now()}-${streams.length}`;
      await client.send(new CreateStreamCommand({ StreamName, ShardCount: shards }));
      streams.push(StreamName);
      await untilActive(client, StreamName);
      return StreamName;
    },
  };
}

export async function untilActive(client: KinesisClient, StreamName: string): Promise<void> {
  await until(30_000, `stream ${StreamName} is active`, async () => {
    const { StreamDescriptionSummary } = await client.send(new DescribeStreamSummaryCommand({ StreamName }));
    return StreamDescriptionSummary?.StreamStatus === "ACTIVE";
  });
}

/** Puts records one after another, so that their order is certain. */
export async function putInOrder(
  client: KinesisClient,
  StreamName: string,
  bodies: readonly (string | Uint8Array)[],
  hashKey = "0",
): Promise<void> {
  for (const body of bodies) {
    await client.send(
      new PutRecordCommand({ StreamName, Data: Buffer.from(body), PartitionKey: "k", ExplicitHashKey: hashKey }),
    );
  }
}

async function spawnKinesisLocal(): Promise<{ readonly endpoint: string; readonly stop: () => Promise<void> }> {
  const main = createRequire(import.meta.url).resolve("kinesis-local");
  const [plain, tls] = [await freePort(), await freePort()];
  const child = spawn(process.execPath, [main], {
    env: {
      ...process.env,
      KINESIS_MOCK_CERT_PATH: path.join(path.dirname(main), "server.json"),
      KINESIS_MOCK_PLAIN_PORT: String(plain),
      KINESIS_MOCK_TLS_PORT: String(tls),
      CREATE_STREAM_DURATION: "20ms",
      DELETE_STREAM_DURATION: "20ms",
      SPLIT_SHARD_DURATION: "20ms",
      MERGE_SHARDS_DURATION: "20ms",
      LOG_LEVEL: "ERROR",
    },
    stdio: "ignore",
  });
  return { endpoint: `http://127.0.0.1:${plain}`, stop: () => stop(child) };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function until(timeoutMs: number, what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  let last: unknown;
  while (Date.now() < deadline) {
    try {
      if (await holds()) return;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`Not within ${timeoutMs} ms: ${what}`, { cause: last });
}
