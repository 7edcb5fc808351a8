/** Every wrong prop fails at synthesis, with an error that names the prop, the value, and what to set. */
import { Duration, RemovalPolicy, Stack } from "aws-cdk-lib";
import { Stream } from "aws-cdk-lib/aws-kinesis";
import { Code, Runtime } from "aws-cdk-lib/aws-lambda";
import { describe, expect, test } from "vitest";
import { fromKinesis, TidemarkApp } from "../../../infra/constructs/index.ts";
import { type AppDefinition, defineApp, TidemarkError } from "../../../shared/index.ts";
import { counting, newStack, rightProps, shop } from "./deployed-app.ts";

function refusal(work: () => unknown): string {
  try {
    work();
  } catch (thrown) {
    if (thrown instanceof TidemarkError) return `${thrown.kind}: ${thrown.message}`;
    throw thrown;
  }
  return "nothing was refused";
}

/** What deploying with other props says. */
function saidOf(wrong: Record<string, unknown>): string {
  const stack = newStack();
  return refusal(() => new TidemarkApp(stack, "App", { ...rightProps(stack), ...wrong } as never));
}

const every = (intervalMs: number): AppDefinition => defineApp({ ...shop, checkpointing: { intervalMs } });

describe("deploying refuses", () => {
  test.each<[Record<string, unknown>, ...string[]]>([
    [{ modul: "x" }, 'no option "modul"', "Did you mean module?"],
    [{ app: { name: "shop", functions: [] } }, "app is an object", "what defineApp returned", "default export"],
    [{ app: undefined }, "app is undefined"],
    [{ module: undefined }, "module is undefined", '"functions/app.ts"'],
    [{ module: "functions/ap.ts" }, 'module is "functions/ap.ts"', "there is no file /"],
    [{ module: "functions" }, 'module is "functions"', "there is no file /"],
    [{ module: "package.json" }, 'module is "package.json"', "no TypeScript or JavaScript"],
    [{ sources: undefined }, "sources is undefined", "{ clicks: fromKinesis(stream) }"],
    [{ sources: {} }, "sources is without clicks", "Add clicks: fromKinesis(stream)"],
    [{ sources: { click: 1 } }, 'source in sources is "click"', "Did you mean clicks?"],
    [{ sources: { clicks: "kinesis:clicks" } }, 'sources.clicks is "kinesis:clicks"', "Give fromKinesis(stream)"],
    [{ functions: [] }, "functions is an array", '{ "visits": { lambda: … } }'],
    [{ functions: { visit: {} } }, 'function in functions is "visit"', "visits, orders", "Did you mean visits?"],
    [{ functions: { visits: { lamda: {} } } }, 'functions.visits has no option "lamda"', "Did you mean lambda?"],
    [{ functions: { visits: { lambda: 3 } } }, "functions.visits.lambda is 3", "NodejsFunction"],
    [{ functions: { visits: { lambda: { entry: "x.ts" } } } }, 'visits.lambda.entry is "x.ts"', "made from module"],
    [{ functions: { visits: { lambda: { handler: "x" } } } }, 'visits.lambda.handler is "x"'],
    [{ functions: { visits: { lambda: { events: [] } } } }, "lambda.events is an array", "Bind it in sources"],
    [{ coordinator: { lambda: { logRetention: 7 } } }, "coordinator.lambda.logRetention is 7", "Set logs.retention"],
    [{ coordinator: { lambda: { runtime: Runtime.NODEJS_20_X } } }, "lambda.runtime is an object", "Node 22"],
    [{ snapshot: { lambda: { code: Code.fromInline("x") } } }, "snapshot.lambda.code is", "lambda.bundling"],
    [{ restore: { lambda: { role: {} } } }, "restore.lambda.role is an object", "lambda.initialPolicy"],
    [{ restore: { lambda: { logGroup: {} } } }, "restore.lambda.logGroup is an object", "Set logs"],
    [
      { functions: { visits: { lambda: { environment: { TIDEMARK_SETTINGS: "{}" } } } } },
      "functions.visits.lambda.environment is with TIDEMARK_SETTINGS",
      "another name",
    ],
    [
      { snapshot: { lambda: { timeout: Duration.seconds(3) } } },
      "snapshot.lambda.timeout is 3 seconds",
      "at least 30 seconds",
      "at most 15 minutes",
    ],
    [{ snapshot: { lambda: { timeout: 60 } } }, "snapshot.lambda.timeout is 60", "Give Duration.minutes"],
    [{ snapshot: { workers: 0 } }, "snapshot.workers is 0", "1 to 500"],
    [{ snapshot: { workers: 501 } }, "snapshot.workers is 501"],
    [{ snapshot: { worker: 1 } }, 'snapshot has no option "worker"', "Did you mean workers?"],
    [{ coordinator: { exclusive: "yes" } }, 'coordinator.exclusive is "yes"', "true or false"],
    [{ restore: { url: true } }, 'restore has no option "url"'],
    [{ existing: { controltable: "x" } }, 'existing has no option "controltable"', "Did you mean controlTable?"],
    [{ existing: { controlTable: "" } }, 'existing.controlTable is ""', "the table's name"],
    [{ existing: { bucket: 7 } }, "existing.bucket is 7", "the bucket's name"],
    [{ existing: { stateTables: "x" } }, 'existing.stateTables is "x"', '{ "visits": "the table\'s name" }'],
    [{ existing: { stateTables: { visit: "x" } } }, 'existing.stateTables is "visit"', "Did you mean visits?"],
    [{ existing: { stateTables: { visits: 1 } } }, "existing.stateTables.visits is 1"],
    [{ tables: { billing: 1 } }, 'tables has no option "billing"'],
    [
      { tables: { removalPolicy: RemovalPolicy.SNAPSHOT } },
      'tables.removalPolicy is "snapshot"',
      "RemovalPolicy.DESTROY",
    ],
    [{ tables: { deletionProtection: "no" } }, 'tables.deletionProtection is "no"'],
    [{ tables: { pointInTimeRecovery: 0 } }, "tables.pointInTimeRecovery is 0"],
    [{ tables: { provisioned: { readCapacity: 5 } } }, "tables.provisioned.writeCapacity is undefined", "1 to 40000"],
    [{ checkpoints: { prefix: "/shop" } }, 'checkpoints.prefix is "/shop"', 'Give "flights"'],
    [{ checkpoints: { prefix: "a/../b" } }, 'checkpoints.prefix is "a/../b"'],
    [{ checkpoints: { prefix: "" } }, 'checkpoints.prefix is ""'],
    [{ checkpoints: { removalPolicy: "destroyed" } }, 'checkpoints.removalPolicy is "destroyed"'],
    [
      { checkpoints: { deadLetterExpiration: Duration.hours(36) } },
      "checkpoints.deadLetterExpiration is",
      "whole days",
    ],
    [{ checkpoints: { deadLetterExpiration: 30 } }, "checkpoints.deadLetterExpiration is 30", "Give Duration"],
    [
      { checkpoints: { noncurrentVersionExpiration: Duration.hours(1) } },
      "checkpoints.noncurrentVersionExpiration is 1 hour",
      "at least 1 day",
    ],
    [
      { existing: { bucket: "old" }, checkpoints: { deadLetterExpiration: Duration.days(9) } },
      "checkpoints.deadLetterExpiration is set",
      "existing.bucket keeps",
    ],
    [{ logs: { retention: "a month" } }, 'logs.retention is "a month"', "RetentionDays.ONE_MONTH"],
    [{ logs: { retain: 3 } }, 'logs has no option "retain"'],
    [{ logs: { removalPolicy: 1 } }, "logs.removalPolicy is 1"],
    [{ logKeys: "true" }, 'logKeys is "true"'],
    [{ dashboard: 1 }, "dashboard is 1"],
    [{ alarms: true }, "alarms is true"],
    [{ alarms: { action: [] } }, 'alarms has no option "action"', "Did you mean actions?"],
    [{ alarms: { actions: "topic" } }, 'alarms.actions is "topic"', "new SnsAction(topic)"],
    [{ alarms: { checkpointAge: Duration.seconds(59) } }, "alarms.checkpointAge is 59 seconds", "at least 1 minute"],
    [
      { app: defineApp({ name: "shop", functions: shop.functions }), alarms: { checkpointAge: Duration.hours(1) } },
      "alarms.checkpointAge is set",
      "no checkpointing.intervalMs",
    ],
    [
      { app: every(59_999) },
      "checkpointing.intervalMs of the app module is 59999 ms",
      "whole minutes, at least 1",
      "Set it to 60000",
    ],
    [{ app: every(5_000) }, "checkpointing.intervalMs of the app module is 5000 ms", "Set it to 60000"],
    [{ app: every(100_000) }, "checkpointing.intervalMs of the app module is 100000 ms", "Set it to 120000"],
    [{ projectRoot: "shared" }, 'module is "functions/app.ts"', "not within", "Set projectRoot"],
  ])("%j", (wrong, ...parts) => {
    const said = saidOf(wrong);
    for (const part of ["fix-configuration: ", ...parts]) expect(said).toContain(part);
  });

  test("a source of another region, whose stream the functions could not read", () => {
    const stack = newStack({ env: { account: "111111111111", region: "eu-west-1" } });
    const stream = Stream.fromStreamArn(stack, "S", "arn:aws:kinesis:us-east-1:111111111111:stream/clicks");
    const said = refusal(
      () => new TidemarkApp(stack, "App", { ...rightProps(stack), sources: { clicks: fromKinesis(stream) } }),
    );
    expect(said).toContain(
      "sources.clicks is a stream of the region us-east-1, and the stack is deployed to eu-west-1",
    );
  });

  test("a function that the app does not have, by the nearest name", () => {
    const stack = newStack();
    const app = new TidemarkApp(stack, "App", rightProps(stack));
    expect(refusal(() => app.function("visit"))).toContain("visits, orders. Did you mean visits?");
  });

  test("an app of more functions than Lambda's environment can name, before anything is made", () => {
    const functions = Array.from({ length: 40 }, (_, index) => ({ function: counting(`f${index}`), source: "clicks" }));
    const stack = newStack();
    const app = defineApp({ name: "wide", functions });
    const said = refusal(() => new TidemarkApp(stack, "App", rightProps(stack, app)));
    expect(said).toMatch(/environment of Shop\/App\/Coordinator may take \d+ bytes; Lambda allows 4096/);
  });

  test("variables of the user's that fill the environment", () => {
    const said = saidOf({ functions: { visits: { lambda: { environment: { LONG: "x".repeat(4_000) } } } } });
    expect(said).toContain("environment of Shop/App/Function/visits/Handler may take");
  });
});

describe("deploying takes", () => {
  test("an app of ten functions", () => {
    const functions = Array.from({ length: 10 }, (_, index) => ({ function: counting(`f${index}`), source: "clicks" }));
    const stack = newStack();
    const app = new TidemarkApp(stack, "App", rightProps(stack, defineApp({ name: "wide", functions })));
    expect(app.functions).toHaveLength(10);
  });

  test.each([60_000, 120_000, 3_600_000])("an interval of %i ms", (intervalMs) => {
    expect(saidOf({ app: every(intervalMs) })).toBe("nothing was refused");
  });
});

describe("fromKinesis refuses", () => {
  const stream = () => new Stream(new Stack(), "S");
  test.each<[unknown, unknown, ...string[]]>([
    ["a name", undefined, "The stream of fromKinesis is", "Stream.fromStreamArn"],
    ["stream", { batchsize: 1 }, 'no option "batchsize"', "Did you mean batchSize?"],
    ["stream", { parallelizationFactor: 2 }, 'no option "parallelizationFactor"'],
    ["stream", { filters: [] }, 'no option "filters"'],
    ["stream", { batchSize: 0 }, "batchSize of fromKinesis is 0", "1 to 10000"],
    ["stream", { batchSize: 10_001 }, "batchSize of fromKinesis is 10001"],
    [
      "stream",
      { maxBatchingWindow: Duration.minutes(6) },
      "maxBatchingWindow of fromKinesis is 6 minutes",
      "at most 5 minutes",
    ],
    ["stream", { maxBatchingWindow: Duration.millis(1500) }, "maxBatchingWindow of fromKinesis is", "whole seconds"],
    ["stream", { retention: Duration.hours(1) }, "retention of fromKinesis is 1 hour", "at least 1 day"],
  ])("%s with %j", (given, options, ...parts) => {
    const said = refusal(() => fromKinesis((given === "stream" ? stream() : given) as Stream, options as object));
    for (const part of ["fix-configuration: ", ...parts]) expect(said).toContain(part);
  });
});
