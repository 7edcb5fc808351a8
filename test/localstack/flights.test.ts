/**
 * The example app on AWS, from its first deployment through a bad day to the proof that nothing is lost: what a reader of
 * the README does, by the README's own lines, while 20,000 real flights flow through it. The steps build on each other.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { DeleteItemCommand } from "@aws-sdk/client-dynamodb";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import flightsApp from "../../examples/flights/app.ts";
import { chainTruth } from "../../examples/flights/demo/chain-truth.ts";
import { compare } from "../../examples/flights/demo/compare.ts";
import { onTimeOfCheckpoint, statesOfCheckpoint, truthAtCut } from "../../examples/flights/demo/truth.ts";
import { kinesisEvents } from "../../shared/source/kinesis/kinesis-events.ts";
import { positionOf } from "../../shared/source/kinesis/kinesis-position.ts";
import { generationText, itemKey } from "../../shared/state/dynamodb/state-table.ts";
import { destroyStack } from "../support/localstack-utils/cdk.ts";
import { localStackClients } from "../support/localstack-utils/clients.ts";
import { DeployedApp, invoke } from "../support/localstack-utils/deployed-app.ts";
import { withFaultyDynamoDB } from "../support/localstack-utils/faulty-dynamodb.ts";
import { functionLogs } from "../support/localstack-utils/function-logs.ts";
import { killFunction } from "../support/localstack-utils/kill-function.ts";
import { ReaderShell, readmeBlock, shellBlock } from "../support/localstack-utils/reader-shell.ts";
import { WAIT_MS, waitUntil } from "../support/localstack-utils/wait-until.ts";
import { withEnvironment } from "../support/localstack-utils/with-environment.ts";
import { FlightStream, readFirst } from "./flight-stream.ts";
import { REFUSALS, startRefusing } from "./refusals.ts";

const FUNCTIONS = ["on-time", "hash-chain"] as const;
const TIMEOUT_SECONDS = 3;
const POISON = JSON.stringify({ date: "some day", delay: 1, distance: 1, origin: "SEA", destination: "JFK" });

let folder: string;
let deployed: DeployedApp;
/** Into which the README's lines are pasted. */
let shell: ReaderShell;
let streamName: string;
let stream: FlightStream;
/** The last checkpoint that completed before state was broken. */
let lastGood: number;
/** Function, split, position and cause of each letter that the poison record must become. */
let poisoned: string[][];
const clients = localStackClients();

/** Flights that a function is past. */
async function foldedBy(functionName: string): Promise<number> {
  const splits = await deployed.splits(functionName);
  return splits.reduce((sum, { split, position }) => sum + stream.rowsUpTo(split, position), 0);
}

async function untilFolded(flights: number): Promise<void> {
  await waitUntil(`${flights} flights folded by every function`, { timeoutMs: WAIT_MS, pollMs: 500 }, async () => {
    for (const name of FUNCTIONS) if ((await foldedBy(name)) < flights) return false;
    return true;
  });
}

async function untilCompleted(after: number): Promise<number> {
  const options = { timeoutMs: WAIT_MS, pollMs: 1_000 };
  return waitUntil(`a checkpoint after ${after} that completed`, options, async () =>
    (await deployed.completed()).map(({ checkpoint }) => checkpoint).find((checkpoint) => checkpoint > after),
  );
}

/** One that begins after this is called, earlier than the schedule would take it. */
async function takeCheckpoint(): Promise<number> {
  const { epoch } = await deployed.control();
  await invoke(clients.lambda, await said("output CoordinatorFunction"), { checkpoint: true });
  return untilCompleted(epoch);
}

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "tidemark-flights-"));
  // Of a run that was broken off.
  await destroyStack("TidemarkExample");
  shell = new ReaderShell();
});

afterAll(async () => {
  await stream?.stop();
  await deployed?.close();
  shell.close();
  // What reads a stream of so many records takes half a processor from the tests after these.
  await destroyStack("TidemarkExample");
  clients.close();
  await rm(folder, { recursive: true, force: true });
});

describe("the example on LocalStack", () => {
  it("is deployed, and given a first flight, by the README's lines", async () => {
    await shell.paste(readmeBlock("Deploy"));
    streamName = await said("output StreamName");
    deployed = await DeployedApp.open(flightsApp, await said("output CoordinatorFunction"), clients.lambda);
    stream = await FlightStream.open({ client: clients.kinesis, stream: streamName, flights: "20k", folder });
    expect(stream.splits).toHaveLength(2);
    expect(stream.flights).toBe(20_001);
    for (const name of FUNCTIONS) expect(await deployed.mappingState(name)).toBe("Enabled");
  });

  it("goes on after a function's process is killed in the middle of a batch", async () => {
    stream.letIn(0.3);
    stream.start();
    await untilFolded(1);
    const lambda = deployed.lambdaOf("on-time");
    // Begun and not ended: a batch is under way. What its End would have said, nobody says any more.
    const attempts = await waitUntil("a kill that met a batch", { timeoutMs: WAIT_MS, pollMs: 20 }, async () => {
      const busy = (await deployed.splits("on-time")).filter(({ begun }) => begun > 0);
      if (busy.length === 0 || (await killFunction(lambda)) === 0) return false;
      const after = await deployed.splits("on-time");
      const cutOff = busy.filter(({ split, attempt }) =>
        after.some((one) => one.split === split && one.attempt === attempt && one.begun > 0),
      );
      return cutOff.length > 0 && cutOff;
    });
    for (const { split, attempt } of attempts) {
      await waitUntil(`a later batch of ${split} that ended`, { timeoutMs: WAIT_MS }, async () =>
        (await deployed.splits("on-time")).some(
          (one) => one.split === split && one.attempt > attempt && one.position > "",
        ),
      );
    }
  });

  it("makes a dead letter and a hole of a poison record", async () => {
    const { split } = stream.splits[0] ?? { split: "" };
    const position = positionOf(await stream.putStranger(split, POISON));
    await waitUntil("a dead letter of each function", { timeoutMs: WAIT_MS, pollMs: 1_000 }, async () => {
      return (await deployed.deadLetters()).length >= FUNCTIONS.length;
    });
    poisoned = FUNCTIONS.map((name) => [name, split, position, "refused"]).sort();
    const letters = await deployed.deadLetters();
    expect(letters.map((letter) => [letter.function, letter.split, letter.position, letter.cause]).sort()).toEqual(
      poisoned,
    );
    const listed = await shell.paste(shellBlock("docs/operations.md", "A poison record"));
    for (const name of FUNCTIONS) expect(listed).toContain(`dead-letters/${name}/`);
    // The letter is durable before the End that makes its record a hole.
    await waitUntil("a hole of each function", { timeoutMs: WAIT_MS }, async () => {
      for (const name of FUNCTIONS) {
        const holes = (await deployed.splits(name)).find((one) => one.split === split)?.holes ?? [];
        if (!holes.some((hole) => hole.to === position)) return false;
      }
      return true;
    });
    for (const name of FUNCTIONS) {
      await waitUntil(`the log of ${name} tells of it`, { timeoutMs: WAIT_MS }, async () => {
        const lines = await functionLogs(clients, deployed.lambdaOf(name));
        return lines.some(
          (line) => line.includes('"dead-letter"') && line.includes('"ERROR"') && line.includes(position),
        );
      });
    }
  });

  it("folds a batch once that is delivered again, to a function that is up to date", async () => {
    const { split } = stream.splits[1] ?? { split: "" };
    const event = await firstBatch(split, 100);
    for (const name of FUNCTIONS) {
      const answer = await invoke(clients.lambda, deployed.lambdaOf(name), event);
      expect(answer).toEqual({ failed: false, payload: { batchItemFailures: [] } });
    }
  });

  it("waits while DynamoDB throttles, and gives nothing up", async () => {
    const before = await foldedBy("on-time");
    const requests = new Map<string, number>();
    const trouble = { lambda: clients.lambda, functionName: deployed.lambdaOf("on-time") };
    /** Every third request of each kind. */
    const throttle = (operation: string) => {
      const count = (requests.get(operation) ?? 0) + 1;
      requests.set(operation, count);
      return count % 3 === 0 ? ("throttle" as const) : undefined;
    };
    await withFaultyDynamoDB(trouble, throttle, async () => {
      stream.letIn(0.4);
      await waitUntil("flights folded under throttling", { timeoutMs: WAIT_MS }, async () => {
        const throttled = ["UpdateItem", "PutItem"].every((operation) => (requests.get(operation) ?? 0) >= 3);
        return throttled && (await foldedBy("on-time")) > before;
      });
    });
  });

  it("loses nothing by an invocation that times out", async () => {
    const functionName = deployed.lambdaOf("on-time");
    const { split } = stream.splits[1] ?? { split: "" };
    const event = await firstBatch(split, 1);
    const trouble = { lambda: clients.lambda, functionName, timeoutSeconds: TIMEOUT_SECONDS };
    const stall = async () => {
      await sleep(2 * TIMEOUT_SECONDS * 1_000);
      return undefined;
    };
    const answer = await withFaultyDynamoDB(trouble, stall, () => invoke(clients.lambda, functionName, event));
    expect(answer.failed).toBe(true);
    expect(JSON.stringify(answer.payload)).toContain("timed out");
  });

  it("takes checkpoints by its schedule while flights flow", async () => {
    stream.letIn(0.55);
    const options = { timeoutMs: WAIT_MS, pollMs: 1_000 };
    const taken = await waitUntil("a checkpoint of some state, which nobody has asked for", options, async () =>
      (await deployed.completed()).find(({ keys }) => keys > 0),
    );
    expect(taken.savepoint).toBeUndefined();
    expect(stream.arrived).toBeLessThan(stream.flights);
  });

  it("shows its checkpoints and states by the README's lines", async () => {
    const shown = await shell.paste(readmeBlock("Watch"));
    expect(shown).toMatch(/PRE chk-0000000001\//);
    expect(shown).toMatch(/"flights": \{\s*"N": "[1-9]/);
  });

  it("takes a checkpoint of bad state, once state is broken by the README's lines and by hand", async () => {
    await shell.paste(readmeBlock("Break"));
    const TableName = deployed.settings.tables?.state["on-time"] ?? "";
    const gen = generationText((await deployed.control()).gen);
    const airports = [...(await deployed.states("on-time")).keys()].filter((airport) => airport !== "SEA").sort();
    for (const airport of airports.slice(0, 3)) {
      await clients.dynamodb.send(new DeleteItemCommand({ TableName, Key: itemKey(airport, gen) }));
    }
    stream.letIn(0.75);
    const bad = await takeCheckpoint();
    const states = await onTimeOfCheckpoint(await deployed.download(bad, "on-time", folder), folder);
    expect(states.get("SEA")).toMatchObject({ flights: expect.toSatisfy((flights) => flights >= 1_000_000) });
  });

  it("restores the last checkpoint before it by the README's lines, while flights go on flowing", async () => {
    stream.letIn(0.9);
    const broken = await said("echo $BROKEN");
    const before = (await deployed.completed()).filter(
      ({ completedAt }) => Date.parse(completedAt) <= Date.parse(broken),
    );
    lastGood = before.at(-1)?.checkpoint ?? 0;
    const answer = await said(readmeBlock("Restore"));
    expect(answer).toContain('"outcome":"requested"');
    expect(answer).toContain(`"checkpoint":${lastGood}`);
    expect(await said('echo "{\\"before\\":\\"$BROKEN\\"}" | restore')).toContain('"outcome":"under-way"');
    expect(await said(`echo '{"befor":"now"}' | restore`)).toContain('"kind":"fix-configuration"');
    // Each look starts the AWS CLI twice: seconds of a processor that what is waited for could use.
    await waitUntil("the end of the restore", { timeoutMs: WAIT_MS, pollMs: 8_000 }, async () =>
      (await said(`echo '{"status":true}' | restore`)).includes('"phase":"finished"'),
    );
    expect(stream.arrived).toBeLessThan(stream.flights);
  });

  it("has every airport as DuckDB computes it from the flights alone", async () => {
    stream.letIn(1);
    await untilFolded(stream.flights);
    await stream.stop();
    const truth = await truthAtCut(
      stream.splits.map((split) => ({ ...split, rows: split.flights })),
      folder,
    );
    expect(compare("on-time", await deployed.states("on-time"), truth).different).toEqual(new Map());
    const chains = await chainTruth(stream.splits, new Map());
    expect(compare("hash-chain", await deployed.states("hash-chain"), chains.atEnd).different).toEqual(new Map());
  });

  it("has restored a checkpoint that is exact at its positions", async () => {
    const { functions } = await deployed.manifest(lastGood);
    const rows = (name: string) =>
      new Map(
        functions
          .filter((one) => one.name === name)
          .flatMap(({ splits }) => splits)
          .map(({ split, position }) => [split, stream.rowsUpTo(split, position)] as const),
      );
    const cut = stream.splits.map((split) => ({ ...split, rows: rows("on-time").get(split.split) ?? 0 }));
    const onTime = await onTimeOfCheckpoint(await deployed.download(lastGood, "on-time", folder), folder);
    expect(compare("on-time", onTime, await truthAtCut(cut, folder)).different).toEqual(new Map());
    const chains = await statesOfCheckpoint(await deployed.download(lastGood, "hash-chain", folder), folder);
    const { atCut } = await chainTruth(stream.splits, rows("hash-chain"));
    expect(compare("hash-chain", chains, atCut).different).toEqual(new Map());
  });

  it("runs on: mappings enabled, one live generation, no dead letter but the poison record's", async () => {
    for (const name of FUNCTIONS) {
      expect(await deployed.mappingState(name)).toBe("Enabled");
      for (const { gen, phase } of await deployed.splits(name))
        expect({ gen, phase }).toEqual({ gen: 2, phase: "RUNNING" });
    }
    expect(await deployed.control()).toMatchObject({ gen: 2, maxGen: 2, phase: "RUNNING" });
    const letters = await deployed.deadLetters();
    expect(letters.map((letter) => [letter.function, letter.split, letter.position, letter.cause]).sort()).toEqual(
      poisoned,
    );
  });

  it.each(REFUSALS)("says what to do about $what", async (refusal) => {
    const functionName = await said("output RestoreFunction");
    const { endpoint, close } = await startRefusing(refusal);
    try {
      const variables = { [`AWS_ENDPOINT_URL_${refusal.service}`]: endpoint };
      const answer = await withEnvironment({ lambda: clients.lambda, functionName, variables }, () =>
        invoke(clients.lambda, functionName, { dryRun: true }),
      );
      expect(answer).toMatchObject({ failed: false, payload: { error: { kind: refusal.kind } } });
      expect((answer.payload as { readonly error: { readonly message: string } }).error.message).toMatch(refusal.says);
    } finally {
      await close();
    }
  });
});

/** What a shard holds first, as a mapping delivers it. */
async function firstBatch(split: string, limit: number): Promise<object> {
  const records = await readFirst({ client: clients.kinesis, stream: streamName }, split, limit);
  return kinesisEvents.toEvent({
    split,
    records: records.map(({ sequenceNumber, text, arrivalTimeMs }) => ({
      position: positionOf(sequenceNumber),
      itemIdentifier: sequenceNumber,
      arrivalTimeMs,
      payload: Buffer.from(text),
    })),
  }) as object;
}

/** A function of the README's shell, or one of its variables' names: what it prints. */
async function said(lines: string): Promise<string> {
  return (await shell.paste(lines)).trim();
}
