/**
 * A snapshot, and the load of a restore, handed out to 1, 4 and 16 workers, with one killed in each: nothing is missing,
 * nothing is twice, and the other apps of the account are not touched.
 */
import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { PutRecordsCommand } from "@aws-sdk/client-kinesis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { statesOfCheckpoint } from "../../examples/flights/demo/truth.ts";
import { encodeManifest } from "../../shared/checkpoint/manifest.ts";
import { readWhole } from "../../shared/storage/checkpoint-storage.ts";
import { manifestPath } from "../../shared/storage/object-paths.ts";
import { deployStack, destroyStack, type StackOutputs } from "../support/localstack-utils/cdk.ts";
import { localStackClients } from "../support/localstack-utils/clients.ts";
import { DeployedApp, invoke } from "../support/localstack-utils/deployed-app.ts";
import { withFaultyDynamoDB } from "../support/localstack-utils/faulty-dynamodb.ts";
import { killFunction } from "../support/localstack-utils/kill-function.ts";
import { WAIT_MS, waitUntil } from "../support/localstack-utils/wait-until.ts";
import app1 from "./fan-out/app-1.ts";
import app4 from "./fan-out/app-4.ts";
import app16 from "./fan-out/app-16.ts";

const STACK = { command: "npx jiti test/localstack/fan-out/stack.ts" };
const APPS = { 1: app1, 4: app4, 16: app16 } as const;
type Workers = keyof typeof APPS;
const WORKERS = [1, 4, 16] as const;
const KEYS = 600;
/** The request of a worker that is killed goes on so much later at the least. */
const STALL_MS = 3_000;

let folder: string;
let outputs: StackOutputs;
const deployed = new Map<Workers, DeployedApp>();
const clients = localStackClients();

function appOf(workers: Workers): DeployedApp {
  const app = deployed.get(workers);
  if (app === undefined) throw new Error(`The app with ${workers} workers is not deployed.`);
  return app;
}

/** All that an app has, in one value. */
async function fingerprint(workers: Workers): Promise<string> {
  const app = appOf(workers);
  const states = [...(await app.states("count"))].sort(([one], [other]) => (one < other ? -1 : 1));
  const { gen, maxGen, phase } = await app.control();
  const checkpoints = (await app.checkpoints()).map((summary) => [summary.checkpoint, summary.status]);
  return createHash("sha256")
    .update(JSON.stringify([states, gen, maxGen, phase, checkpoints]))
    .digest("hex");
}

/** Kills one worker of an app when it has sent the first request of a kind, which is answered late. */
async function killingAWorker(workers: Workers, operation: string, work: () => Promise<unknown>): Promise<void> {
  const functionName = outputs[`Snapshot${workers}`] ?? "";
  let killed: Promise<number> | undefined;
  const stall = async (requested: string) => {
    if (requested !== operation || killed !== undefined) return undefined;
    killed = killFunction(functionName, { environmentsMax: 1 });
    await Promise.all([killed, sleep(STALL_MS)]);
    return undefined;
  };
  await withFaultyDynamoDB({ lambda: clients.lambda, functionName }, stall, work);
  expect(await killed).toBe(1);
}

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "tidemark-fan-out-"));
  // Of a run that was broken off.
  await destroyStack("FanOut");
  outputs = await deployStack("FanOut", STACK);
  for (const workers of WORKERS) {
    const coordinator = outputs[`Coordinator${workers}`] ?? "";
    deployed.set(workers, await DeployedApp.open(APPS[workers], coordinator, clients.lambda));
  }
  for (let from = 0; from < KEYS; from += 500) {
    const keys = Array.from({ length: Math.min(500, KEYS - from) }, (_, index) => `key-${from + index}`);
    await clients.kinesis.send(
      new PutRecordsCommand({
        StreamName: outputs.Stream,
        Records: keys.map((key) => ({ Data: Buffer.from(JSON.stringify({ key })), PartitionKey: key })),
      }),
    );
  }
  for (const workers of WORKERS) {
    await waitUntil(
      `${KEYS} keys of the app with ${workers} workers`,
      { timeoutMs: WAIT_MS, pollMs: 1_000 },
      async () => {
        return (await appOf(workers).states("count")).size === KEYS;
      },
    );
  }
});

afterAll(async () => {
  for (const app of deployed.values()) await app.close();
  await destroyStack("FanOut");
  clients.close();
  await rm(folder, { recursive: true, force: true });
});

describe.each(WORKERS)("%i workers, one of them killed", (workers) => {
  it("write every key into a savepoint, once", async () => {
    const app = appOf(workers);
    await killingAWorker(workers, "Scan", async () => {
      await invoke(clients.lambda, outputs[`Coordinator${workers}`] ?? "", { savepoint: "all" });
      await waitUntil("the savepoint", { timeoutMs: WAIT_MS, pollMs: 1_000 }, async () => {
        return (await app.completed()).length > 0;
      });
    });
    const [savepoint] = await app.completed();
    const manifest = await app.manifest(savepoint?.checkpoint ?? 0);
    expect(manifest.savepoint).toBe("all");
    expect(manifest.files.reduce((sum, { items }) => sum + items, 0)).toBe(KEYS);
    const parts = await app.download(manifest.checkpoint, "count", folder);
    const states = await statesOfCheckpoint(parts, folder);
    expect(states.size).toBe(KEYS);
    expect([...states.values()].every((state) => (state as { readonly count: number }).count === 1)).toBe(true);
  });

  it("load every key of it, once, and touch no other app", async () => {
    const app = appOf(workers);
    const others = WORKERS.filter((other) => other !== workers);
    const before = await Promise.all(others.map(fingerprint));
    const restore = outputs[`Restore${workers}`] ?? "";
    await killingAWorker(workers, "PutItem", async () => {
      const answer = await invoke(clients.lambda, restore, { savepoint: "all" });
      expect(answer.payload).toMatchObject({ outcome: "requested" });
      await waitUntil("the end of the restore", { timeoutMs: WAIT_MS, pollMs: 1_000 }, async () => {
        const status = await invoke(clients.lambda, restore, { status: true });
        return (status.payload as { readonly phase?: string }).phase === "finished";
      });
    });
    const states = await app.states("count");
    expect(states.size).toBe(KEYS);
    expect([...states.values()].every((state) => (state as { readonly count: number }).count === 1)).toBe(true);
    expect(await app.control()).toMatchObject({ gen: 2, maxGen: 2, phase: "RUNNING" });
    expect(await Promise.all(others.map(fingerprint))).toEqual(before);
  });
});

describe("an app whose checkpoints are signed", () => {
  it("refuses a manifest that somebody else wrote, whatever else holds of it", async () => {
    const app = appOf(4);
    const [savepoint] = await app.completed();
    const n = savepoint?.checkpoint ?? 0;
    const { storage } = app;
    const signed = await readWhole(storage, manifestPath(n));
    expect(JSON.parse(signed?.text ?? "")).toMatchObject({ mac: expect.stringMatching(/^[A-Za-z0-9+/]{43}=$/) });
    const forged = encodeManifest({ ...(await app.manifest(n)), savepoint: "forged" });
    expect(await storage.replace(manifestPath(n), forged, signed?.version ?? "")).toBe("replaced");
    const { payload } = await invoke(clients.lambda, outputs.Restore4 ?? "", { checkpoint: n });
    expect(payload).toMatchObject({
      error: { kind: "choose-another-checkpoint", message: expect.stringContaining("it carries no signature") },
    });
    expect(await app.control()).toMatchObject({ gen: 2, maxGen: 2, phase: "RUNNING" });
  });
});
