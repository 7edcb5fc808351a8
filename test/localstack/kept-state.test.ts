/**
 * State outlives its stack: another stack goes on with the tables and the bucket of an earlier one, and the bucket alone
 * is enough to have everything back. The steps build on each other.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { DeleteTableCommand, UpdateTableCommand } from "@aws-sdk/client-dynamodb";
import { CreateStreamCommand, DeleteStreamCommand } from "@aws-sdk/client-kinesis";
import { UpdateEventSourceMappingCommand } from "@aws-sdk/client-lambda";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import flightsApp from "../../examples/flights/app.ts";
import { chainTruth } from "../../examples/flights/demo/chain-truth.ts";
import { compare } from "../../examples/flights/demo/compare.ts";
import { truthAtCut } from "../../examples/flights/demo/truth.ts";
import { untilActive } from "../support/kinesis-local.ts";
import { deployStack, destroyStack, type StackOutputs } from "../support/localstack-utils/cdk.ts";
import { localStackClients } from "../support/localstack-utils/clients.ts";
import { DeployedApp, invoke } from "../support/localstack-utils/deployed-app.ts";
import { runCommand } from "../support/localstack-utils/run-command.ts";
import { WAIT_MS, waitUntil } from "../support/localstack-utils/wait-until.ts";
import { FlightStream } from "./flight-stream.ts";

const STREAM = `kept-flights-${Date.now()}`;
const STACKS = ["First", "Second", "Third"];

let folder: string;
let stream: FlightStream;
let outputs: StackOutputs;
let current: DeployedApp;
let checkpoint: number;
const clients = localStackClients();

async function deploy(stack: string, existing?: object): Promise<void> {
  const taken = existing === undefined ? {} : { existing: JSON.stringify(existing) };
  outputs = await deployStack(stack, { context: { stack, stream: STREAM, ...taken } });
  await current?.close();
  current = await DeployedApp.open(flightsApp, outputs.CoordinatorFunction ?? "", clients.lambda);
}

/** Has the stack do nothing any more, as when it is gone. LocalStack removes what is to be retained, so it stays. */
async function standStill(stack: string): Promise<void> {
  const mappings = Object.entries(outputs).filter(([name]) => name.startsWith("Mapping"));
  for (const [, UUID] of mappings) {
    await clients.lambda.send(new UpdateEventSourceMappingCommand({ UUID, Enabled: false }));
  }
  for (const name of current.app.functions.map((binding) => binding.function.name)) {
    await waitUntil(`the mapping of ${name} is off`, { timeoutMs: WAIT_MS }, async () => {
      return (await current.mappingState(name)) === "Disabled";
    });
  }
  await runCommand(`aws events list-rules --query 'Rules[].Name' --output text | tr '\\t' '\\n' |
    grep '^${stack}-' | xargs -n 1 aws events disable-rule --name`);
}

async function untilAllFolded(): Promise<void> {
  await waitUntil("every flight that is there is folded", { timeoutMs: WAIT_MS, pollMs: 1_000 }, async () => {
    if (stream.arrived < stream.allowed) return false;
    for (const {
      function: { name },
    } of current.app.functions) {
      const splits = await current.splits(name);
      const folded = splits.reduce((sum, { split, position }) => sum + stream.rowsUpTo(split, position), 0);
      if (folded < stream.arrived) return false;
    }
    return true;
  });
}

async function expectTruth(): Promise<void> {
  const rows = new Map(stream.splits.map(({ split }) => [split, stream.arrivedIn(split)]));
  const truth = await truthAtCut(
    stream.splits.map((split) => ({ ...split, rows: rows.get(split.split) ?? 0 })),
    folder,
  );
  expect(compare("on-time", await current.states("on-time"), truth).different).toEqual(new Map());
  const { atCut } = await chainTruth(stream.splits, rows);
  expect(compare("hash-chain", await current.states("hash-chain"), atCut).different).toEqual(new Map());
}

async function takeCheckpoint(): Promise<number> {
  const after = (await current.control()).epoch;
  await invoke(clients.lambda, outputs.CoordinatorFunction ?? "", { checkpoint: true });
  return waitUntil("a checkpoint that completed", { timeoutMs: WAIT_MS, pollMs: 1_000 }, async () => {
    return (await current.completed()).map((one) => one.checkpoint).find((one) => one > after);
  });
}

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "tidemark-kept-"));
  // Of a run that was broken off.
  for (const stack of STACKS) await destroyStack(stack);
  await clients.kinesis.send(new CreateStreamCommand({ StreamName: STREAM, ShardCount: 1 }));
  await untilActive(clients.kinesis, STREAM);
  stream = await FlightStream.open({ client: clients.kinesis, stream: STREAM, flights: "2k", folder });
});

afterAll(async () => {
  await stream?.stop();
  await current?.close();
  for (const stack of STACKS) await destroyStack(stack);
  await clients.kinesis.send(new DeleteStreamCommand({ StreamName: STREAM }));
  clients.close();
  await rm(folder, { recursive: true, force: true });
});

describe("state that outlives its stack", () => {
  it("is folded and kept by a first stack", async () => {
    await deploy("First");
    stream.letIn(0.4);
    stream.start();
    await untilAllFolded();
    await takeCheckpoint();
    await standStill("First");
  });

  it("goes on in a stack that is given the tables and the bucket of the first", async () => {
    const before = await current.control();
    const completed = (await current.completed()).length;
    stream.letIn(0.7);
    await deploy("Second", {
      controlTable: outputs.ControlTable,
      stateTables: { "on-time": outputs.StateTableontime, "hash-chain": outputs.StateTablehashchain },
      bucket: outputs.CheckpointBucket,
    });
    await untilAllFolded();
    await expectTruth();
    checkpoint = await takeCheckpoint();
    expect((await current.completed()).length).toBeGreaterThan(completed);
    expect((await current.control()).gen).toBe(before.gen);
    await standStill("Second");
  });

  it("is restored from the bucket alone, after every table is deleted", async () => {
    const { gen } = await current.control();
    for (const TableName of [outputs.ControlTable, outputs.StateTableontime, outputs.StateTablehashchain]) {
      await clients.dynamodb.send(new UpdateTableCommand({ TableName, DeletionProtectionEnabled: false }));
      await clients.dynamodb.send(new DeleteTableCommand({ TableName }));
    }
    stream.letIn(1);
    await deploy("Third", { bucket: outputs.CheckpointBucket });
    // The place is the lost tables' still.
    const coordinator = outputs.CoordinatorFunction ?? "";
    const refused = await invoke(clients.lambda, coordinator, {});
    const [, claim = ""] = /\{\\*"takeOver\\*":\\*"([^"\\]+)/.exec(JSON.stringify(refused.payload)) ?? [];
    const taken = await invoke(clients.lambda, coordinator, { takeOver: claim });
    expect(taken.payload).toMatchObject({ did: "take-over", tookOver: [expect.stringMatching(/^the place s3:/)] });
    const answer = await invoke(clients.lambda, outputs.RestoreFunction ?? "", { checkpoint });
    expect(answer.payload).toMatchObject({ outcome: "requested", checkpoint });
    await waitUntil("the end of the restore", { timeoutMs: WAIT_MS, pollMs: 2_000 }, async () => {
      const status = await invoke(clients.lambda, outputs.RestoreFunction ?? "", { status: true });
      return (status.payload as { readonly phase?: string }).phase === "finished";
    });
    await untilAllFolded();
    await expectTruth();
    const control = await current.control();
    expect(control.gen).toBeGreaterThan(gen);
    expect(control).toMatchObject({ phase: "RUNNING", maxGen: control.gen });
    expect(await current.deadLetters()).toEqual([]);
  });
});
