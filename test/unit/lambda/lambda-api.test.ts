/** What the coordinator and the restore function ask of Lambda, over the wire. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { invokersOf } from "../../../shared/lambda/coordinator.ts";
import { invokeAndForget, invokeAndWait } from "../../../shared/lambda/invoke-function.ts";
import { lambdaMappings } from "../../../shared/lambda/mappings.ts";
import { type LambdaApi, startLambdaApi } from "../../support/lambda-api.ts";

let api: LambdaApi;
beforeAll(async () => {
  api = await startLambdaApi();
});
afterAll(() => api.close());
beforeEach(() => {
  api.invocations.length = 0;
  api.answers.length = 0;
  api.mappings.clear();
});

const deployment = {
  functions: { log: "app-log" },
  mappings: { log: { uuid: "u-1", expected: { batchSize: 100, maximumBatchingWindowSeconds: 1 } } },
  snapshot: "app-snapshot",
  snapshotWorkers: 7,
};
const deployed = {
  UUID: "u-1",
  FunctionArn: "arn:aws:lambda:eu-central-1:123456789012:function:app-log",
  State: "Enabled",
  BatchSize: 100,
  MaximumBatchingWindowInSeconds: 1,
  FunctionResponseTypes: ["ReportBatchItemFailures"],
};

describe("invocations", () => {
  test("of a worker and of a replay carry the request, and bring the answer back", async () => {
    const { replay, workers } = invokersOf(api.client, deployment);
    expect(workers.count).toBe(7);
    const work = { work: "snapshot", checkpoint: 3, token: "t", function: "log", slice: 2, milliseconds: 1 } as const;
    expect(await workers.invoke(work)).toEqual({ outcome: "done" });
    api.answers.push({ body: { position: "17", done: true } });
    expect(await replay({ function: "log", split: "s", generation: 2 })).toEqual({ position: "17", done: true });
    expect(api.invocations).toEqual([
      { function: "app-snapshot", type: "RequestResponse", payload: work },
      {
        function: "app-log",
        type: "RequestResponse",
        payload: { tidemark: "replay", function: "log", split: "s", generation: 2 },
      },
    ]);
    await expect(replay({ function: "other", split: "s", generation: 2 })).rejects.toThrow(/name app-log|name log/);
  });

  test("of a function with redriven letters carry the event as a mapping's, and bring the reason of a failure back", async () => {
    const { redrive } = invokersOf(api.client, deployment);
    api.answers.push({ body: { batchItemFailures: [{ itemIdentifier: "1" }], reason: "Error: n is -1" } });
    const event = { Records: [{ eventSource: "tidemark:redrive" }] };
    expect(await redrive("log", event)).toMatchObject({ reason: "Error: n is -1" });
    expect(api.invocations).toEqual([{ function: "app-log", type: "RequestResponse", payload: event }]);
    await expect(redrive("other", event)).rejects.toThrow(/wait for the function other.*name log/);
  });

  test("that wait for nothing say so", async () => {
    api.answers.push({ status: 202 });
    await invokeAndForget(api.client, "app-coordinator", { tidemark: "carry-on" });
    expect(api.invocations).toMatchObject([{ function: "app-coordinator", type: "Event" }]);
  });

  test("throw the error that the function answered, with its kind", async () => {
    api.answers.push({ body: { error: { kind: "fix-function", message: "broken" } } });
    await expect(invokeAndWait(api.client, "f", {})).rejects.toMatchObject({ kind: "fix-function", message: "broken" });
  });

  test.each([
    [
      "a function that was killed",
      { functionError: "Unhandled", body: { errorMessage: "Task timed out after 3.00 seconds" } },
      "retry",
      /failed or was killed: Task timed out.*its log/,
    ],
    [
      "no such function",
      { status: 404, errorType: "ResourceNotFoundException", body: {} },
      "fix-configuration",
      /deploy the app again/,
    ],
    [
      "a permission that is missing",
      { status: 403, errorType: "AccessDeniedException", body: { message: "not authorized" } },
      "fix-configuration",
      /Allow this role lambda:InvokeFunction/,
    ],
    [
      "a key that is disabled",
      { status: 502, errorType: "KMSDisabledException", body: {} },
      "fix-configuration",
      /KMS key/,
    ],
    ["throttling", { status: 429, errorType: "TooManyRequestsException", body: {} }, "retry", /reserved concurrency/],
    [
      "a failure of Lambda's own",
      { status: 500, errorType: "ServiceException", body: {} },
      "retry",
      /no usable answer/,
    ],
  ])("of %s: an error that says what to do", async (_what, answer, kind, message) => {
    api.answers.push(answer);
    const invoked = invokeAndWait(api.client, "f", {});
    await expect(invoked).rejects.toMatchObject({ kind });
    await expect(invoked).rejects.toThrow(message);
  });
});

describe("event source mappings", () => {
  test("are looked at, turned off and on", async () => {
    const mappings = lambdaMappings(api.client, deployment);
    api.mappings.set("u-1", deployed);
    expect(await mappings.look("log")).toEqual({ on: true, settled: true, drift: [] });
    await mappings.turn("log", "off");
    expect(await mappings.look("log")).toEqual({ on: false, settled: false, drift: [] });
    await mappings.turn("log", "on");
    expect(await mappings.look("log")).toEqual({ on: true, settled: false, drift: [] });
  });

  test("are told to have what every answer of Lambda's has where nothing is set", async () => {
    const mappings = lambdaMappings(api.client, deployment);
    api.mappings.set("u-1", {
      ...deployed,
      ...{ ParallelizationFactor: 1, BisectBatchOnFunctionError: false, MaximumRetryAttempts: -1 },
      ...{ MaximumRecordAgeInSeconds: -1, TumblingWindowInSeconds: 0, FilterCriteria: { Filters: [] } },
      DestinationConfig: { OnFailure: {} },
    });
    expect((await mappings.look("log"))?.drift).toEqual([]);
  });

  test("of a function that is deployed by its ARN are known by its name", async () => {
    const functions = { log: deployed.FunctionArn };
    api.mappings.set("u-1", deployed);
    expect((await lambdaMappings(api.client, { ...deployment, functions }).look("log"))?.drift).toEqual([]);
  });

  const foreign = "arn:aws:lambda:eu-central-1:123456789012:function:other";
  test.each([
    [{ FunctionArn: foreign }, "FunctionArn is other instead of app-log"],
    [{ BatchSize: 5 }, "BatchSize is 5 instead of 100"],
    [{ MaximumBatchingWindowInSeconds: 9 }, "MaximumBatchingWindowInSeconds is 9 instead of 1"],
    [{ MaximumBatchingWindowInSeconds: undefined }, "MaximumBatchingWindowInSeconds is 0 instead of 1"],
    [{ ParallelizationFactor: 10 }, "ParallelizationFactor is 10 instead of 1"],
    [{ BisectBatchOnFunctionError: true }, "BisectBatchOnFunctionError is true instead of false"],
    [{ MaximumRetryAttempts: 2 }, "MaximumRetryAttempts is 2 instead of -1"],
    [{ MaximumRecordAgeInSeconds: 60 }, "MaximumRecordAgeInSeconds is 60 instead of -1"],
    [{ TumblingWindowInSeconds: 30 }, "TumblingWindowInSeconds is 30 instead of 0"],
    [{ FilterCriteria: { Filters: [{ Pattern: "{}" }] } }, "FilterCriteria is 1 instead of 0"],
    [
      { DestinationConfig: { OnFailure: { Destination: "arn:aws:sqs:eu-central-1:123456789012:q" } } },
      "DestinationConfig.OnFailure is arn:aws:sqs:eu-central-1:123456789012:q instead of nowhere",
    ],
    [{ FunctionResponseTypes: [] }, "FunctionResponseTypes is false instead of true"],
  ])("that were changed by hand are told apart: %o", async (changed, drift) => {
    const mappings = lambdaMappings(api.client, deployment);
    api.mappings.set("u-1", { ...deployed, ...changed });
    expect((await mappings.look("log"))?.drift).toEqual([drift]);
  });

  test("that are gone, or changing just now, stop nobody; one that may not be changed does", async () => {
    const mappings = lambdaMappings(api.client, deployment);
    expect(await mappings.look("log")).toBeUndefined();
    api.answers.push({ status: 400, errorType: "ResourceInUseException", body: {} });
    await mappings.turn("log", "on");
    api.answers.push({ status: 403, errorType: "AccessDeniedException", body: {} });
    await expect(mappings.turn("log", "off")).rejects.toThrow(
      /disabling the event source mapping u-1.*lambda:UpdateEventSourceMapping/,
    );
  });
});
