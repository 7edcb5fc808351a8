/** `tidemark restore --function`, over the wire to a restore function whose answers the test gives. */
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { type LambdaApi, startLambdaApi } from "../support/lambda-api.ts";
import { tidemark } from "../support/spawned-cli.ts";

// Each test starts a process, on machines that may have more to do.
vi.setConfig({ testTimeout: 240_000 });

let api: LambdaApi;
beforeAll(async () => {
  api = await startLambdaApi();
});
afterAll(() => api.close());
beforeEach(() => {
  api.invocations.length = 0;
});

const restore = (...args: string[]) =>
  tidemark(["restore", "--function", "shop-restore", ...args], {
    ...{ AWS_REGION: "us-east-1", AWS_ACCESS_KEY_ID: "test", AWS_SECRET_ACCESS_KEY: "test" },
    AWS_ENDPOINT_URL_LAMBDA: api.endpoint,
  });

/** The function answers one after another; the last for ever. */
function answers(...given: object[]): void {
  api.handlers.set("shop-restore", async () => (given.length > 1 ? given.shift() : given[0]));
}

const payloads = () => api.invocations.map(({ payload }) => payload);
const requested = { outcome: "requested", id: "r", checkpoint: 41, generation: 2 };
const status = (phase: string, more: object = {}) => ({
  ...{ phase, id: "r", checkpoint: 41, generation: 2, partsLoaded: 1, partsTotal: 3, partsChecked: 2, seconds: 3 },
  splits: [{ function: "visits", split: "s", phase: phase === "finished" ? "RUNNING" : "REPLAYING", position: "1" }],
  ...more,
});

test("asks, follows the restore to its end, and says how it went", async () => {
  answers(requested, status("checking"), status("loading"), status("replaying"), status("finished"));
  const { code, stdout, stderr } = await restore("--checkpoint", "41", "--allow-non-restored-state");
  expect(stdout).toMatch(/^Checkpoint 41 is restored \(generation 2\), and everything since is replayed: 3\.0 s\.\n$/);
  expect(stderr).toMatch(/Checking: 2 of 3 parts\.\nLoading: 1 of 3 parts\.\nReplaying: 0 of 1 splits done\./);
  expect(code).toBe(0);
  expect(payloads().slice(0, 2)).toEqual([{ checkpoint: 41, allowNonRestoredState: true }, { status: true }]);
});

test("waits until a restore is held, and lets it go on", async () => {
  answers(requested, status("held"));
  const held = await restore("--until", "2026-01-31T12:00:00Z", "--json");
  expect(JSON.parse(held.stdout)).toEqual({ ...requested, outcome: "held", end: "held", seconds: 3 });
  answers({ ...requested, outcome: "going-on" }, status("finished"));
  const went = await restore("--go-on");
  expect(went.stdout).toMatch(/is restored/);
  expect(went.code).toBe(0);
  expect(payloads()).toEqual([
    { until: "2026-01-31T12:00:00.000Z" },
    { status: true },
    { goOn: true },
    { status: true },
  ]);
});

test("shows the status, and what a dry run would do, and asks for nothing else", async () => {
  answers(status("held"));
  expect((await restore("--status")).stdout).toBe("Restore of checkpoint 41 (generation 2): held, 3.0 s.\n");
  answers({ outcome: "would-restore", checkpoint: 41, generation: 2, keys: 5, files: 1, bytes: 90 });
  const dry = await restore("--before", "2026-01-31T12:00:00Z", "--dry-run");
  expect(dry.stdout).toBe("Checkpoint 41 can be restored: 5 keys in 1 files, 90 bytes. Nothing was changed.\n");
  expect(payloads()).toEqual([{ status: true }, { before: "2026-01-31T12:00:00.000Z", dryRun: true }]);
});

test.each([
  [
    "the check refuses it",
    [requested, status("refused", { reason: "A part was altered." })],
    1,
    /A part was altered\./,
  ],
  [
    "the check refuses it while another runs",
    [
      requested,
      {
        ...status("loading"),
        id: "other",
        requested: { phase: "refused", id: "r", checkpoint: 41, reason: "Altered." },
      },
    ],
    1,
    /Altered\./,
  ],
  ["another takes its place", [requested, status("loading", { id: "other" })], 1, /^$/],
  [
    "the function refuses it",
    [{ error: { kind: "fix-configuration", message: "There is no checkpoint 41." } }],
    2,
    /no checkpoint 41/,
  ],
] as const)("fails when %s", async (_when, given, code, message) => {
  answers(...given);
  const ended = await restore();
  expect(ended.stderr.replace(/^error: /m, "")).toMatch(message);
  expect(ended.code).toBe(code);
});

test.each([
  [["--status", "--go-on"], /goes alone/],
  [["--home", "x"], /give one of them/],
  [["--until", "2999-01-01T00:00:00Z"], /still to come/],
])("refuses %j before it asks", async (args, message) => {
  const { code, stderr } = await restore(...args);
  expect(stderr).toMatch(message);
  expect(code).toBe(2);
  expect(payloads()).toEqual([]);
});

test("refuses to hold a run of this machine, and says what would do", async () => {
  const { code, stderr } = await tidemark(["restore", "--go-on"]);
  expect(stderr).toMatch(/name its restore function with --function/);
  expect(code).toBe(2);
});
