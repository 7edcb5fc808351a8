/**
 * Whose tables and places are, as deployed functions find them in DynamoDB and S3: two apps, or two lives of one, that were
 * given the same ones. The functions run over the wire, and what a refusal leaves is held against what was there.
 */
import { ScanCommand } from "@aws-sdk/client-dynamodb";
import { CreateBucketCommand, GetObjectCommand, ListObjectsV2Command, S3Client } from "@aws-sdk/client-s3";
import { startFauxqs } from "fauxqs";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { describeApp } from "../../shared/app/app-description.ts";
import type { AppDefinition } from "../../shared/app/define-app.ts";
import { claimStorage } from "../../shared/control/claim-storage.ts";
import { ensureControl, readControl } from "../../shared/control/control-steps.ts";
import { createControlTable } from "../../shared/control/dynamodb/control-table.ts";
import { DynamoDBControlStore } from "../../shared/control/dynamodb/dynamodb-control-store.ts";
import { defineApp } from "../../shared/index.ts";
import {
  lambdaCoordinatorHandler,
  lambdaEventHandler,
  lambdaRestoreHandler,
  lambdaSnapshotHandler,
  SETTINGS_VARIABLE,
  type Settings,
} from "../../shared/lambda/index.ts";
import { DynamoDBStateBackend } from "../../shared/state/dynamodb/dynamodb-state-backend.ts";
import { createStateTable } from "../../shared/state/dynamodb/state-table.ts";
import { access, startDynalite, type TestDynamoDB } from "../support/dynalite.ts";
import { counting } from "../unit/infra/deployed-app.ts";

const BUCKET = "checkpoints";
const LONG = { getRemainingTimeInMillis: () => 60_000 };

const appNamed = (name: string): AppDefinition =>
  defineApp({ name, functions: [{ function: counting("visits"), source: "clicks" }] });

let dynamodb: TestDynamoDB;
let s3: Awaited<ReturnType<typeof startFauxqs>>;
let client: S3Client;
/** Makes the tables of each test its own. */
let life = 0;

beforeAll(async () => {
  dynamodb = await startDynalite();
  s3 = await startFauxqs({ port: 0, logger: false });
  for (const [name, value] of Object.entries({
    ...{ AWS_REGION: "us-east-1", AWS_ACCESS_KEY_ID: "test", AWS_SECRET_ACCESS_KEY: "test" },
    // Nothing answers here: no function invokes another before the claims are held.
    AWS_ENDPOINT_URL: "http://127.0.0.1:9",
    AWS_ENDPOINT_URL_DYNAMODB: dynamodb.endpoint,
    AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${s3.port}`,
  })) {
    vi.stubEnv(name, value);
  }
  client = new S3Client({ forcePathStyle: true });
  await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
  for (const one of [process.stdout, process.stderr]) vi.spyOn(one, "write").mockReturnValue(true);
}, 120_000);

afterAll(async () => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  client?.destroy();
  await s3?.stop();
  await dynamodb?.close();
});

interface Places {
  readonly app: AppDefinition;
  readonly control: string;
  readonly state: string;
  readonly prefix: string;
}

let first: Places;

beforeEach(async () => {
  life += 1;
  first = await placesOf({});
});

/** Made where they are missing. */
async function placesOf(given: Partial<Places>): Promise<Places> {
  const places = {
    ...{ app: appNamed("shop"), control: `control-${life}`, state: `state-${life}`, prefix: `shop-${life}` },
    ...given,
  };
  const adapters = access(dynamodb.client());
  await createControlTable(adapters, places.control);
  await createStateTable(adapters, places.state);
  return places;
}

const settingsOf = ({ app, control, state, prefix }: Places): Settings => ({
  app: describeApp(app),
  tables: { control, state: { visits: state } },
  storageUrl: `s3://${BUCKET}/${prefix}`,
  sources: { clicks: "kinesis:clicks" },
  deployment: {
    functions: { visits: "shop-visits" },
    mappings: {},
    ...{ snapshot: "shop-snapshot", snapshotWorkers: 1, coordinator: "shop-coordinator" },
  },
});

/** The four functions of a deployment, in environments that have just started. */
function deployed(places: Places) {
  vi.stubEnv(SETTINGS_VARIABLE, JSON.stringify(settingsOf(places)));
  const [event, coordinator] = [lambdaEventHandler(places.app, "visits"), lambdaCoordinatorHandler()];
  const [snapshot, restore] = [lambdaSnapshotHandler(), lambdaRestoreHandler()];
  const deliver = { Records: [] };
  const opened = {
    event: () => event(deliver, LONG),
    snapshot: () => snapshot({ work: "none" }, LONG),
    restore: () => restore({ status: true }, LONG),
    /** Claims, and does nothing else. */
    claim: (takeOver = "nothing") => coordinator({ takeOver }, LONG),
    coordinate: () => coordinator({}, LONG),
  };
  return opened;
}

/** What a function says: thrown, or answered as an error. */
async function saidBy(work: () => Promise<unknown>): Promise<{ readonly kind: string; readonly message: string }> {
  const answer = await work().catch((thrown: unknown) => ({ error: thrown }));
  const { error } = answer as { readonly error?: { readonly kind: string; readonly message: string } };
  return { kind: error?.kind ?? "none", message: error?.message ?? JSON.stringify(answer) };
}

/** Everything that stands in the tables and under the bucket. */
async function all(...tables: readonly string[]): Promise<string> {
  const adapters = dynamodb.client();
  const items = await Promise.all(
    [...new Set(tables)].map(async (TableName) => (await adapters.send(new ScanCommand({ TableName }))).Items),
  );
  const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: BUCKET }));
  return JSON.stringify([items, Contents.map(({ Key, ETag }) => [Key, ETag])]);
}

const WORK = ["event", "snapshot", "restore", "coordinate"] as const;

describe("a deployment that has just been made", () => {
  test("is nobody's yet: its functions work, claim nothing, and are refused once another app has claimed", async () => {
    const functions = deployed(first);
    const before = await all(first.control, first.state);
    expect((await saidBy(functions.event)).message).toContain("it holds no Records");
    expect((await saidBy(functions.restore)).message).toContain('"phase":"none"');
    expect((await saidBy(functions.snapshot)).message).toMatch(/no work of the coordinator's/);
    expect(await all(first.control, first.state)).toBe(before);

    await deployed(await placesOf({ ...first, app: appNamed("rival") })).claim();
    for (const name of ["event", "snapshot", "restore"] as const) {
      const said = await saidBy(functions[name]);
      expect(said.kind, name).toBe("fix-configuration");
      expect(said.message, name).toContain("is claimed by the app rival");
    }
  });

  test("is claimed by its coordinator, control being there first, so that no event function has to make it", async () => {
    const functions = deployed(first);
    expect(await functions.claim()).toEqual({ did: "take-over", tookOver: [] });
    const store = new DynamoDBControlStore({ ...access(dynamodb.client()), table: first.control });
    expect(await readControl(store)).toMatchObject({ gen: 1, phase: "RUNNING" });
    expect((await saidBy(functions.event)).kind).not.toBe("retry");
    expect((await saidBy(functions.restore)).message).toContain('"phase":"none"');
    expect((await saidBy(functions.snapshot)).message).toMatch(/no work of the coordinator's/);
  });

  test("is claimed once by two coordinators at a time", async () => {
    await Promise.all([deployed(first).claim(), deployed(first).claim()]);
    for (const name of WORK.slice(0, 3)) {
      const { message } = await saidBy(deployed(first)[name]);
      expect(message, name).not.toMatch(/claim/);
    }
  });

  test("is found by neither a scan for states nor a sweep of older ones", async () => {
    await deployed(first).claim();
    const before = await all(first.state);
    const state = new DynamoDBStateBackend({ ...access(dynamodb.client()), tableOf: () => first.state });
    for (const generation of [1, 9_999_999_999]) {
      const scope = { function: "visits", generation };
      for await (const { items } of state.scan(scope, { index: 0, count: 1 })) expect(items).toEqual([]);
      await state.removeOlderGenerations(scope, { index: 0, count: 1 });
    }
    expect(await all(first.state)).toBe(before);
  });
});

describe("an old deployment, which has claimed nothing", () => {
  test("claims with its first run, and goes on where it was", async () => {
    const store = new DynamoDBControlStore({ ...access(dynamodb.client()), table: first.control });
    const before = await ensureControl(store, "exactly-once");
    await deployed(first).claim();
    expect(await readControl(store)).toEqual(before);
    expect((await saidBy(deployed(first).restore)).message).toContain('"phase":"none"');
  });

  test("takes the tables of an embedded run that has its checkpoints there, and no others", async () => {
    const store = new DynamoDBControlStore({ ...access(dynamodb.client()), table: first.control });
    await claimStorage(store, `s3://${BUCKET}/${first.prefix}`);
    await deployed(first).claim();
    const elsewhere = await placesOf({ control: `embedded-${life}`, state: `embedded-state-${life}`, prefix: "e" });
    const other = new DynamoDBControlStore({ ...access(dynamodb.client()), table: elsewhere.control });
    await claimStorage(other, "file:///home/.tidemark");
    const { kind, message } = await saidBy(deployed(elsewhere).coordinate);
    expect(kind).toBe("fix-configuration");
    expect(message).toContain('{"takeOver":"file:///home/.tidemark"}');
    await deployed(elsewhere).claim("file:///home/.tidemark");
    expect((await saidBy(deployed(elsewhere).restore)).message).toContain('"phase":"none"');
  });
});

describe("two apps that were given the same", () => {
  test.each<[string, (one: Places) => Partial<Places>, RegExp]>([
    [
      "control table",
      ({ control }) => ({ app: appNamed("other"), control, state: `s2-${life}`, prefix: `p2-${life}` }),
      /the control table control-\d+ is claimed by the app shop, checkpoints in s3:\/\/checkpoints\/shop-/,
    ],
    [
      "place in a bucket",
      ({ prefix }) => ({ app: appNamed("other"), control: `c2-${life}`, state: `s2-${life}`, prefix }),
      /the place s3:\/\/checkpoints\/shop-\d+ is claimed by the app shop/,
    ],
    [
      "state table",
      ({ state }) => ({ app: appNamed("other"), control: `c2-${life}`, state, prefix: `p2-${life}` }),
      /the state table state-\d+ is claimed by the app shop, function visits/,
    ],
    [
      "place in a bucket, both being the same app",
      ({ prefix }) => ({ control: `c2-${life}`, state: `s2-${life}`, prefix }),
      /the place .* is claimed by the app shop/,
    ],
    [
      "tables, both being the same app",
      ({ control, state }) => ({ control, state, prefix: `p2-${life}` }),
      /the control table .* is claimed by the app shop/,
    ],
  ])("%s: every function of the second refuses, and nothing is changed", async (_what, given, message) => {
    await deployed(first).claim();
    const second = await placesOf(given(first));
    const tables = [first.control, first.state, second.control, second.state];
    const before = await all(...tables);
    for (const name of WORK) {
      const said = await saidBy(deployed(second)[name]);
      expect(said.kind, name).toBe("fix-configuration");
      expect(said.message, name).toMatch(message);
    }
    expect(await all(...tables)).toBe(before);
    expect((await saidBy(deployed(first).restore)).message).toContain('"phase":"none"');
  });
});

describe("a deployment that goes on in the place of another", () => {
  const idOf = async ({ prefix }: Places): Promise<string> => {
    const { Body } = await client.send(new GetObjectCommand({ Bucket: BUCKET, Key: `${prefix}/claim.json` }));
    return (JSON.parse((await Body?.transformToString()) ?? "") as { readonly id: string }).id;
  };

  test.each<[string, (one: Places) => Partial<Places>]>([
    ["with its bucket and new tables", ({ prefix }) => ({ control: `c3-${life}`, state: `s3-${life}`, prefix })],
    ["under another name", ({ control, state, prefix }) => ({ app: appNamed("store"), control, state, prefix })],
    ["with its checkpoints elsewhere", ({ control, state }) => ({ control, state, prefix: `moved-${life}` })],
  ])("%s, is let in once its coordinator was told so, and the other is refused", async (_, given) => {
    await deployed(first).claim();
    const next = await placesOf(given(first));
    const refused = await saidBy(deployed(next).coordinate);
    const id = await idOf(first);
    expect(refused.message).toContain(JSON.stringify({ takeOver: id }));
    expect((await saidBy(() => deployed(next).claim("not-this"))).kind).toBe("fix-configuration");
    expect(await deployed(next).claim(id)).toMatchObject({
      did: "take-over",
      tookOver: expect.arrayContaining([expect.stringMatching(/^the /)]),
    });
    for (const name of ["event", "snapshot", "restore"] as const) {
      expect((await saidBy(deployed(next)[name])).message, name).not.toMatch(/claimed/);
    }
    const old = await saidBy(deployed(first).coordinate);
    expect(old.kind).toBe("fix-configuration");
  });

  test("with all of its tables and its bucket, is let in at once", async () => {
    await deployed(first).claim();
    await deployed({ ...first }).claim();
    expect((await saidBy(deployed(first).restore)).message).toContain('"phase":"none"');
  });
});
