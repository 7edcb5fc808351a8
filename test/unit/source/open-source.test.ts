import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { KinesisClient } from "@aws-sdk/client-kinesis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock, systemRandomness } from "../../../shared/environment.ts";
import { openSource } from "../../../shared/source/open-source.ts";

let baseFolder: string;
beforeAll(async () => {
  baseFolder = await mkdtemp(path.join(tmpdir(), "tidemark-open-"));
  await writeFile(path.join(baseFolder, "a.jsonl"), '{"n":1}');
});
afterAll(() => rm(baseFolder, { recursive: true }));

function open(
  binding: string,
  kinesisClient: () => Promise<KinesisClient> = () => Promise.reject(new Error("asked for")),
) {
  return openSource(binding, { clock: systemClock, randomness: systemRandomness, kinesisClient, baseFolder });
}

describe("openSource", () => {
  test.each(["a.jsonl", "*.jsonl", "."])("reads files of %j without asking for a Kinesis client", async (binding) => {
    const { reader } = await open(binding);
    expect(await reader.look("a.jsonl", "")).toEqual({ holdsRecords: true, ended: false });
  });

  test("follow: tails files, which are never ended", async () => {
    const { reader } = await open("follow:a.jsonl");
    const after = "000000000001-0000000000000008";
    expect(await reader.look("a.jsonl", after)).toEqual({ holdsRecords: false, ended: false });
    expect(await (await open("a.jsonl")).reader.look("a.jsonl", after)).toEqual({ holdsRecords: false, ended: true });
  });

  test("kinesis: opens a stream with the client it is given, calling nothing", async () => {
    const client = new KinesisClient({ region: "eu-north-1", endpoint: "http://127.0.0.1:1" });
    const { events } = await open("kinesis:flights", async () => client);
    expect(() => events.parse({})).toThrow(/none of a Kinesis stream/);
    client.destroy();
  });

  test.each(["", "follow:", "s3:bucket/x.jsonl", "kafka:flights"])(
    "refuses %j and says what may be written",
    async (binding) => {
      await expect(open(binding)).rejects.toMatchObject({
        kind: "fix-configuration",
        message: expect.stringContaining('"kinesis:STREAM"'),
      });
    },
  );

  test.each(["kinesis:", "kinesis:a b"])("refuses %j: no stream has such a name", async (binding) => {
    const client = new KinesisClient({ region: "eu-north-1" });
    await expect(open(binding, async () => client)).rejects.toMatchObject({
      kind: "fix-configuration",
      message: expect.stringContaining("is no name of a Kinesis stream"),
    });
    client.destroy();
  });

  test("refuses a path that does not exist and says where it looked", async () => {
    await expect(open("nowhere.jsonl")).rejects.toMatchObject({
      kind: "fix-configuration",
      message: expect.stringContaining(path.join(baseFolder, "nowhere.jsonl")),
    });
  });
});
