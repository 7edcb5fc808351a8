/** Event source mappings by Lambda's API. Each look and each turn is one request. */
import {
  type EventSourceMappingConfiguration,
  GetEventSourceMappingCommand,
  type LambdaClient,
  UpdateEventSourceMappingCommand,
} from "@aws-sdk/client-lambda";
import type { EventSourceMappings, MappingLook } from "../restore/event-source-mappings.ts";
import type { DeployedMapping, Deployment, ExpectedMapping } from "../runtime/settings.ts";
import { explainLambdaError } from "./explain-lambda-error.ts";

/** `Creating`, `Enabling` and `Updating` are on their way to it, as far as can be told. */
const OFF = new Set(["Disabling", "Disabled"]);
const SETTLED = new Set(["Enabled", "Disabled"]);

export function lambdaMappings(
  client: Pick<LambdaClient, "send">,
  { functions, mappings }: Pick<Deployment, "functions" | "mappings">,
): EventSourceMappings {
  return {
    functions: Object.keys(mappings),
    async look(functionName) {
      const mapping = mappings[functionName];
      if (mapping === undefined) return undefined;
      try {
        const found = await client.send(new GetEventSourceMappingCommand({ UUID: mapping.uuid }));
        return lookOf(found, mapping.expected, functions[functionName]);
      } catch (thrown) {
        if ((thrown as Partial<Error> | undefined)?.name === "ResourceNotFoundException") return undefined;
        throw explained(thrown, "looking at", functionName, mapping, "lambda:GetEventSourceMapping");
      }
    },
    async turn(functionName, to) {
      const mapping = mappings[functionName];
      if (mapping === undefined) return;
      try {
        await client.send(new UpdateEventSourceMappingCommand({ UUID: mapping.uuid, Enabled: to === "on" }));
      } catch (thrown) {
        // It is changing just now: whoever waits for it looks, and asks, again.
        if ((thrown as Partial<Error> | undefined)?.name === "ResourceInUseException") return;
        const doing = to === "on" ? "enabling" : "disabling";
        throw explained(thrown, doing, functionName, mapping, "lambda:UpdateEventSourceMapping");
      }
    },
  };
}

function explained(
  thrown: unknown,
  doing: string,
  functionName: string,
  { uuid }: DeployedMapping,
  permission: string,
): Error {
  return explainLambdaError(
    thrown,
    `${doing} the event source mapping ${uuid} of function ${functionName}`,
    permission,
  );
}

function lookOf(
  found: EventSourceMappingConfiguration,
  expected: ExpectedMapping,
  target: string | undefined,
): MappingLook {
  const state = found.State ?? "";
  return { on: !OFF.has(state), settled: SETTLED.has(state), drift: driftOf(found, expected, target) };
}

/** What no deployment of Tidemark sets otherwise, besides what this one set. Absent in an answer: Lambda's default. */
function driftOf(
  found: EventSourceMappingConfiguration,
  expected: ExpectedMapping,
  target: string | undefined,
): string[] {
  const compared: readonly (readonly [string, unknown, unknown])[] = [
    ["FunctionArn", nameOf(found.FunctionArn), nameOf(target)],
    ["BatchSize", found.BatchSize, expected.batchSize],
    [
      "MaximumBatchingWindowInSeconds",
      found.MaximumBatchingWindowInSeconds ?? 0,
      expected.maximumBatchingWindowSeconds,
    ],
    ["ParallelizationFactor", found.ParallelizationFactor ?? 1, expected.parallelizationFactor ?? 1],
    ["BisectBatchOnFunctionError", found.BisectBatchOnFunctionError ?? false, false],
    ["MaximumRetryAttempts", found.MaximumRetryAttempts ?? -1, -1],
    ["MaximumRecordAgeInSeconds", found.MaximumRecordAgeInSeconds ?? -1, -1],
    ["TumblingWindowInSeconds", found.TumblingWindowInSeconds ?? 0, 0],
    ["FilterCriteria", found.FilterCriteria?.Filters?.length ?? 0, 0],
    ["DestinationConfig.OnFailure", found.DestinationConfig?.OnFailure?.Destination ?? "nowhere", "nowhere"],
    ["FunctionResponseTypes", (found.FunctionResponseTypes ?? []).includes("ReportBatchItemFailures"), true],
  ];
  return compared
    .filter(([, is, should]) => is !== should)
    .map(([name, is, should]) => `${name} is ${is} instead of ${should}`);
}

/** Of a Lambda function by its name, or by its ARN: `arn:aws:lambda:<region>:<account>:function:<name>`. */
const nameOf = (lambda: string | undefined): string | undefined => lambda?.split(":")[6] ?? lambda;
