import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { DynamoDBClient, ListTablesCommand, PutItemCommand, ScanCommand } from "@aws-sdk/client-dynamodb";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { connectDynamoDB, type DynamoDBConnection } from "../../../local/dynamodb/connect-dynamodb.ts";
import { splitEndpoint } from "../../../local/dynamodb/endpoint-url.ts";
import { type Home, openHome } from "../../../local/home.ts";
import { systemClock, systemRandomness } from "../../../shared/environment.ts";
import { createStateTable } from "../../../shared/state/dynamodb/state-table.ts";

let folder: string;
let home: Home;
let connection: DynamoDBConnection;
let place: ReturnType<typeof splitEndpoint>;
const clients: DynamoDBClient[] = [];

const client = (credentials = place.credentials): DynamoDBClient => {
  const made = new DynamoDBClient({ endpoint: place.endpoint, region: "us-east-1", credentials, maxAttempts: 1 });
  clients.push(made);
  return made;
};

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "tidemark-guard-"));
  home = openHome(path.join(folder, "home"));
  connection = await connectDynamoDB(home, { own: true });
  place = splitEndpoint(connection.endpoint);
  await createStateTable({ client: client(), clock: systemClock, randomness: systemRandomness }, "states");
});
afterAll(async () => {
  for (const one of clients) one.destroy();
  await connection.close();
  rmSync(folder, { recursive: true, force: true });
});

interface Raw {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

/** What is answered to a request as it stands; `undefined` where the connection is closed without an answer. */
function raw({ method = "POST", path: at = "/", headers = {}, body = "{}" }: Raw = {}) {
  return new Promise<{ readonly status: number | undefined; readonly headers: object; readonly body: string }>(
    (resolve) => {
      const { hostname, port } = new URL(place.endpoint);
      const outgoing = request({ host: hostname, port, method, path: at, headers }, async (incoming) => {
        let text = "";
        for await (const chunk of incoming) text += chunk;
        resolve({ status: incoming.statusCode, headers: incoming.headers, body: text });
      });
      outgoing.once("error", () => resolve({ status: undefined, headers: {}, body: "" }));
      outgoing.end(method === "POST" ? body : undefined);
    },
  );
}

/** The headers that the SDK signs a ListTables with. */
async function signed(): Promise<{ readonly headers: Record<string, string>; readonly body: string }> {
  let seen: { readonly headers: Record<string, string>; readonly body: string } | undefined;
  const spying = client();
  spying.middlewareStack.add(
    (next) => async (args) => {
      const { headers, body } = args.request as { headers: Record<string, string>; body: string };
      seen = { headers: { ...headers }, body };
      return next(args);
    },
    { step: "finalizeRequest", priority: "low", name: "spy" },
  );
  await spying.send(new ListTablesCommand({}));
  if (seen === undefined) throw new Error("nothing was sent");
  return seen;
}

describe("the embedded DynamoDB", () => {
  test("answers who signs with the home's secret, of any content", async () => {
    const item = { key: { S: "naïve – 日本 \u0000" }, gen: { S: "1" }, v: { S: "  two  spaces " } };
    await client().send(new PutItemCommand({ TableName: "states", Item: item }));
    expect((await client().send(new ScanCommand({ TableName: "states" }))).Items).toEqual([item]);
  });

  test.each([
    ["another secret", () => ({ ...place.credentials, secretAccessKey: "local" })],
    ["another key's name", () => ({ ...place.credentials, accessKeyId: "local" })],
  ])("refuses %s", async (_, credentials) => {
    await expect(client(credentials()).send(new ListTablesCommand({}))).rejects.toThrow("not signed with the secret");
  });

  test.each<[string, Raw]>([
    ["no signature", { headers: { "x-amz-target": "DynamoDB_20120810.ListTables" } }],
    ["a made-up signature", { headers: { authorization: "AWS4-HMAC-SHA256 Credential=x" } }],
    ["a look whether it is there", { method: "GET" }],
    ["a page's question whether it may ask", { method: "OPTIONS", headers: { origin: "http://evil.example" } }],
    ["a page's own question", { headers: { origin: "http://evil.example" } }],
    ["a name of a page's own that leads here", { headers: { host: "evil.example" } }],
  ])("refuses %s, and shares nothing with a page", async (_, given) => {
    const { status, headers, body } = await raw(given);
    expect(status).toBe(403);
    expect(Object.keys(headers).filter((name) => name.startsWith("access-control"))).toEqual([]);
    expect(body).not.toContain("states");
  });

  test("refuses a signed request that was changed, or is used from a page, by another name, or much later", async () => {
    const { headers, body } = await signed();
    expect((await raw({ headers, body })).status).toBe(200);
    const target = "x-amz-target";
    for (const changed of [
      { headers: { ...headers, "content-length": `${body.length + 1}` }, body: `${body} ` },
      { headers: { ...headers, [target]: "DynamoDB_20120810.DeleteTable" }, body },
      { headers: { ...headers, origin: "http://evil.example" }, body },
      { headers: { ...headers, host: "evil.example" }, body },
      { headers, body, path: "/?Action=ListTables" },
      { headers: { ...headers, "x-amz-date": `${headers["x-amz-date"]?.slice(0, 8)}T000000Z` }, body },
    ]) {
      expect((await raw(changed)).status).toBe(403);
    }
  });

  test("takes no more than DynamoDB does", async () => {
    const { headers } = await signed();
    const { "content-length": _, ...others } = headers;
    expect([413, undefined]).toContain((await raw({ headers: others, body: "x".repeat(17 * 1024 * 1024) })).status);
    expect((await client().send(new ListTablesCommand({}))).TableNames).toEqual(["states"]);
  });

  test("has what the AWS CLI needs in dynamodb.env, while it runs", async () => {
    const file = path.join(home.folder, "dynamodb.env");
    const { stdout } = spawnSync("sh", ["-c", `. '${file}' && env`], { encoding: "utf8" });
    const variables = Object.fromEntries(stdout.split("\n").map((line) => line.split(/=(.*)/s)));
    expect(variables.AWS_ENDPOINT_URL_DYNAMODB).toBe(place.endpoint);
    const credentials = {
      accessKeyId: variables.AWS_ACCESS_KEY_ID ?? "",
      secretAccessKey: variables.AWS_SECRET_ACCESS_KEY ?? "",
    };
    expect((await client(credentials).send(new ListTablesCommand({}))).TableNames).toEqual(["states"]);
    const other = openHome(path.join(folder, "other"));
    const brief = await connectDynamoDB(other, { own: true });
    await brief.close();
    expect(existsSync(path.join(other.folder, "dynamodb.env"))).toBe(false);
    expect(other.credentials()).not.toEqual(home.credentials());
  });

  // Another user can be played by root alone.
  test.runIf(process.getuid?.() === 0)("shows another user of the machine nothing", () => {
    const look = (command: string) =>
      spawnSync("sh", ["-c", command], { encoding: "utf8", uid: 65534, gid: 65534, cwd: "/" });
    expect(look(`cat ${home.folder}/secret`).status).not.toBe(0);
    expect(look(`cat ${home.folder}/dynamodb.env`).status).not.toBe(0);
    expect(look(`ls ${home.folder}`).status).not.toBe(0);
    const script = `fetch(${JSON.stringify(place.endpoint)}, { method: "POST", body: "{}", headers: {
      "x-amz-target": "DynamoDB_20120810.ListTables", "content-type": "application/x-amz-json-1.0",
      authorization: "AWS4-HMAC-SHA256 Credential=tidemark/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=${"0".repeat(64)}"
    }}).then((answer) => console.log(answer.status))`;
    const asked = spawnSync(process.execPath, ["-e", script], { encoding: "utf8", uid: 65534, gid: 65534, cwd: "/" });
    expect(asked.stdout.trim()).toBe("403");
  });

  test("is started again on its port when it dies, and whoever asks goes on", async () => {
    const kept = openHome(path.join(folder, "kept"));
    const events: string[] = [];
    let up: () => void = () => {};
    const again = new Promise<void>((resolve) => {
      up = resolve;
    });
    const owned = await connectDynamoDB(kept, {
      own: true,
      keepUp: (event) => {
        events.push(event.type);
        if (event.type === "dynamodb-started") up();
      },
    });
    const asking = new DynamoDBClient({ region: "us-east-1", ...splitEndpoint(owned.endpoint) });
    await createStateTable({ client: asking, clock: systemClock, randomness: systemRandomness }, "kept");
    const first = owned.pid;
    process.kill(first, "SIGKILL");
    await again;
    expect(owned.pid).not.toBe(first);
    expect((await asking.send(new ListTablesCommand({}))).TableNames).toEqual(["kept"]);
    asking.destroy();
    await owned.close();
    expect(events).toEqual(["dynamodb-ended", "dynamodb-started"]);
    expect(existsSync(path.join(kept.folder, "dynamodb.json"))).toBe(false);
    expect(readFileSync(path.join(kept.folder, "secret"), "utf8").trim()).toHaveLength(43);
  });
});
