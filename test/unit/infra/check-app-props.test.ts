/** Every wrong prop fails at synthesis, with an error that names the prop, the value, and what to set. */
import { CfnParameter, Duration, RemovalPolicy, Stack } from "aws-cdk-lib";
import { AttributeType, Table } from "aws-cdk-lib/aws-dynamodb";
import { Vpc } from "aws-cdk-lib/aws-ec2";
import { Stream } from "aws-cdk-lib/aws-kinesis";
import { Architecture, Code, Runtime, Tracing } from "aws-cdk-lib/aws-lambda";
import { OutputFormat } from "aws-cdk-lib/aws-lambda-nodejs";
import { RetentionDays } from "aws-cdk-lib/aws-logs";
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

/** Where constructs stand that are refused before anything is made of them. */
const elsewhere = new Stack();
const made = new Table(elsewhere, "Made", { partitionKey: { name: "key", type: AttributeType.STRING } });
const ARN = "arn:aws:dynamodb:eu-west-1:111111111111";

const every = (intervalMs: number): AppDefinition => defineApp({ ...shop, checkpointing: { intervalMs } });

describe("deploying refuses", () => {
  test.each<[Record<string, unknown>, ...string[]]>([
    [{ modul: "x" }, 'no option "modul"', "Did you mean module?"],
    [{ app: { name: "shop", functions: [] } }, "app is an object", "what defineApp returned", "default export"],
    [{ app: undefined }, "app is undefined"],
    [{ module: undefined }, "module is undefined", '"my-app.ts"'],
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
    [
      { existing: { controlTable: `${ARN}:table/old` } },
      `existing.controlTable is "${ARN}:table/old"`,
      "the table's name",
    ],
    [{ existing: { bucket: "arn:aws:s3:::old" } }, 'existing.bucket is "arn:aws:s3:::old"', "the bucket's name"],
    [{ existing: { bucket: "s3://old" } }, 'existing.bucket is "s3://old"', "the bucket's name"],
    [
      { existing: { stateTables: { visits: "same", orders: "same" } } },
      'existing.stateTables.orders is "same"',
      "existing.stateTables.visits is the same table",
      "Give each a table of its own",
    ],
    [
      { existing: { controlTable: "same", stateTables: { orders: "same" } } },
      'existing.stateTables.orders is "same"',
      "existing.controlTable is the same table",
    ],
    [{ tables: { billing: 1 } }, 'tables has no option "billing"'],
    [
      { tables: { removalPolicy: RemovalPolicy.SNAPSHOT } },
      'tables.removalPolicy is "snapshot"',
      "RemovalPolicy.DESTROY",
    ],
    [{ tables: { deletionProtection: "no" } }, 'tables.deletionProtection is "no"'],
    [{ tables: { pointInTimeRecovery: 0 } }, "tables.pointInTimeRecovery is 0"],
    [{ tables: { provisioned: { readCapacity: 5 } } }, "tables.provisioned.writeCapacity is undefined", "1 to 40000"],
    [{ tables: { warmThroughput: 5 } }, "tables.warmThroughput is 5", "readUnitsPerSecond, writeUnitsPerSecond"],
    [
      { tables: { warmThroughput: { readUnitsPerSec: 12_000 } } },
      'tables.warmThroughput has no option "readUnitsPerSec"',
      "Did you mean readUnitsPerSecond?",
    ],
    [
      { tables: { warmThroughput: { writeUnitsPerSecond: -1 } } },
      "tables.warmThroughput.writeUnitsPerSecond is -1",
      "units a second, 1 to 10000000",
    ],
    [
      {
        tables: { deletionProtection: false },
        existing: { controlTable: "old-c", stateTables: { visits: "old-v", orders: "old-o" } },
      },
      "tables.deletionProtection is set",
      "existing names every table",
      "Leave it out",
    ],
    [{ checkpoints: { prefix: "/shop" } }, 'checkpoints.prefix is "/shop"', 'Give "flights"'],
    [{ checkpoints: { prefix: "a/../b" } }, 'checkpoints.prefix is "a/../b"'],
    [{ checkpoints: { prefix: "" } }, 'checkpoints.prefix is ""'],
    [{ checkpoints: { signing: "key" } }, 'checkpoints.signing is "key"', "HMAC_256", "Give true"],
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
    [{ logs: { retention: 17 } }, "logs.retention is 17", "RetentionDays.ONE_MONTH"],
    [{ logs: { retention: Number.NaN } }, "logs.retention is NaN", "RetentionDays.ONE_MONTH"],
    [{ logs: { retention: "ONE_MONTH" } }, 'logs.retention is "ONE_MONTH"', "RetentionDays.ONE_MONTH"],
    [{ logs: { retention: "a month" } }, 'logs.retention is "a month"', "RetentionDays.ONE_MONTH"],
    [{ logs: { retain: 3 } }, 'logs has no option "retain"'],
    [{ logs: { removalPolicy: 1 } }, "logs.removalPolicy is 1"],
    [{ logKeys: "true" }, 'logKeys is "true"'],
    [{ dashboard: 1 }, "dashboard is 1"],
    [{ alarms: true }, "alarms is true"],
    [{ alarms: { action: [] } }, 'alarms has no option "action"', "Did you mean actions?"],
    [{ alarms: { actions: "topic" } }, 'alarms.actions is "topic"', "new SnsAction(topic)"],
    [{ alarms: { actions: ["arn:aws:sns:x"] } }, 'alarms.actions[0] is "arn:aws:sns:x"', "[new SnsAction(topic)]"],
    [{ alarms: { refusedPercent: 0 } }, "alarms.refusedPercent is 0", "more than 0 and at most 100"],
    [{ alarms: { refusedPercent: "5" } }, 'alarms.refusedPercent is "5"', "more than 0 and at most 100"],
    [{ alarms: { checkpointAge: Duration.seconds(59) } }, "alarms.checkpointAge is 59 seconds", "at least 1 minute"],
    [{ alarms: { checkpointAge: Duration.days(31) } }, "alarms.checkpointAge is 31 days", "at most 30 days"],
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
    [{ projectRoot: "shared" }, 'module is "examples/flights/app.ts"', "not within", "Set projectRoot"],
    [{ projectRoot: 5 }, "projectRoot is 5", "must be a folder", "Give its path"],
    [{ projectRoot: "package.json" }, 'projectRoot is "package.json"', "must be a folder"],
    [{ depsLockFilePath: 5 }, "depsLockFilePath is 5", "must be a file", "Give its path"],
    [{ depsLockFilePath: "yarn.lock" }, 'depsLockFilePath is "yarn.lock"', "must be a file"],
    [{ encryptionKey: "alias/x" }, 'encryptionKey is "alias/x"', "must be a key", "Key.fromKeyArn"],
    [{ encryptionKey: null }, "encryptionKey is null", "must be a key"],
  ])("%j", (wrong, ...parts) => {
    const said = saidOf(wrong);
    for (const part of ["fix-configuration: ", ...parts]) expect(said).toContain(part);
  });

  test.each<[Record<string, unknown>, ...string[]]>([
    [{ memorysize: 2048 }, 'has no option "memorysize"', "Did you mean memorySize?"],
    [{ memorySize: -1 }, ".memorySize is -1", "MB, 128 to 10240"],
    [{ memorySize: "1GB" }, '.memorySize is "1GB"', "MB, 128 to 10240"],
    [{ reservedConcurrentExecutions: -3 }, ".reservedConcurrentExecutions is -3", "1 to 100000"],
    [{ reservedConcurrentExecutions: 0 }, ".reservedConcurrentExecutions is 0", "1 to 100000"],
    [{ reservedConcurrentExecutions: 1e9 }, ".reservedConcurrentExecutions is 1000000000", "1 to 100000"],
    [{ environment: "x" }, '.environment is "x"', "CDK takes there: object"],
    [{ environment: { PORT: 80 } }, ".environment.PORT is 80", "must be a string"],
    [{ environment: { NODE_OPTIONS: "" } }, '.environment.NODE_OPTIONS is ""', "Add --enable-source-maps"],
    [{ bundling: "x" }, '.bundling is "x"', "CDK takes there: object"],
    [{ bundling: { minfy: false } }, '.bundling has no option "minfy"', "Did you mean minify?"],
    [{ bundling: { format: "cjs" } }, '.bundling.format is "cjs"', "ES modules", "Leave it out"],
    [{ bundling: { sourceMap: false } }, ".bundling.sourceMap is false", "takes the map", "Leave it out"],
    [{ bundling: { bundleAwsSDK: false } }, ".bundling.bundleAwsSDK is false", "what was tested", "Leave it out"],
    [{ layers: ["arn:aws:lambda:x"] }, '.layers[0] is "arn:aws:lambda:x"', "LayerVersion.fromLayerVersionArn"],
    [{ bundling: { externalModules: ["@aws-sdk/*"] } }, ".bundling.externalModules is with @aws-sdk/*", "Take it out"],
    [{ tracing: true }, ".tracing is true", "Give Tracing.ACTIVE"],
    [{ recursiveLoop: "allow" }, '.recursiveLoop is "allow"', "Give RecursiveLoop.TERMINATE"],
    [{ description: 5 }, ".description is 5", "CDK takes there: string"],
    [{ allowPublicSubnet: "yes" }, '.allowPublicSubnet is "yes"', "CDK takes there: boolean"],
    [{ deadLetterQueue: null }, ".deadLetterQueue is null", "CDK takes there: object"],
    [{ bundling: { minify: "no" } }, '.bundling.minify is "no"', "CDK takes there: boolean"],
    [{ bundling: { nodeModules: "sharp" } }, '.bundling.nodeModules is "sharp"', "CDK takes there: list"],
    [{ initialPolicy: [{ actions: [] }] }, ".initialPolicy[0] is an object", "new PolicyStatement"],
    [{ architecture: "arm64" }, '.architecture is "arm64"', "Give Architecture.ARM_64"],
    [{ projectRoot: "." }, '.projectRoot is "."', "Set projectRoot of TidemarkApp"],
    [{ depsLockFilePath: "x" }, '.depsLockFilePath is "x"', "Set depsLockFilePath of TidemarkApp"],
    [{ vpc: "vpc-1" }, '.vpc is "vpc-1"', "Vpc.fromLookup"],
    [{ vpcSubnets: { subnetType: "Public" } }, ".vpcSubnets is set", "Set vpc as well"],
    // What CDK knows, it says; of which prop, is added.
    [{ retryAttempts: 9 }, "lambda: `retryAttempts` must be between 0 and 2."],
    [{ insightsVersion: {} }, "lambda: props.insightsVersion._bind is not a function"],
    [{ description: "x".repeat(257) }, "lambda: ", "can not be longer than 256 characters"],
  ])("%j as lambda of any function", (lambda, ...parts) => {
    const visits = saidOf({ functions: { visits: { lambda } } });
    const restore = saidOf({ restore: { lambda } });
    for (const part of parts) {
      expect(visits).toContain("fix-configuration: functions.visits.lambda");
      expect(restore).toContain("fix-configuration: restore.lambda");
      for (const said of [visits, restore]) expect(said).toContain(part);
    }
  });

  const vpc = Vpc.fromVpcAttributes(elsewhere, "Vpc", {
    ...{ vpcId: "vpc-1", availabilityZones: ["a"] },
    ...{ publicSubnetIds: ["subnet-1"], privateSubnetIds: ["subnet-2"] },
  });

  test.each<[string, Record<string, unknown>, ...string[]]>([
    [
      "one table for control and a function",
      { existing: { controlTable: Table.fromTableName(elsewhere, "Named", "same"), stateTables: { visits: "same" } } },
      'existing.stateTables.visits is "same"',
      "existing.controlTable is the same table",
    ],
    [
      "one construct for two functions",
      { existing: { stateTables: { visits: made, orders: made } } },
      "existing.stateTables.orders is a table",
      "existing.stateTables.visits is the same table",
    ],
    [
      "letters that expire before the records of their stream",
      {
        checkpoints: { deadLetterExpiration: Duration.days(6) },
        sources: { clicks: fromKinesis(new Stream(elsewhere, "Week", { retentionPeriod: Duration.days(7) })) },
      },
      "checkpoints.deadLetterExpiration is 6 days",
      "sources.clicks keeps records for 7 days",
      "Give as much or more",
    ],
    ["a network by its id", { vpc: "vpc-1" }, 'vpc is "vpc-1"', "Vpc.fromLookup"],
    ["security groups by an id", { vpc, securityGroups: "sg-1" }, 'securityGroups is "sg-1"', "fromSecurityGroupId"],
    ["security groups by ids", { vpc, securityGroups: ["sg-1"] }, 'securityGroups[0] is "sg-1"', "fromSecurityGroupId"],
    ["security groups of no network", { securityGroups: [] }, "securityGroups is set", "Set vpc as well"],
    ["subnets of no network", { vpcSubnets: {} }, "vpcSubnets is set", "Set vpc as well"],
    ["subnets by an id", { vpc, vpcSubnets: "subnet-1" }, 'vpcSubnets is "subnet-1"', "subnetType"],
    [
      "a misspelt choice of subnets",
      { vpc, vpcSubnets: { subnettype: "Public" } },
      'vpcSubnets has no option "subnettype"',
      "Did you mean subnetType?",
    ],
    [
      "subnets that the network does not have",
      { vpc, vpcSubnets: { subnetType: "Isolated" } },
      "fix-configuration: vpcSubnets: There are no 'Isolated' subnet groups in this VPC",
    ],
    [
      "subnets that lead nowhere",
      { vpc, vpcSubnets: { subnetType: "Public" } },
      "fix-configuration: functions.visits.lambda: ",
      "set `allowPublicSubnet` to true",
    ],
    [
      "a misspelt choice of subnets for one function",
      { vpc, coordinator: { lambda: { vpcSubnets: { subnettype: "Public" } } } },
      'coordinator.lambda.vpcSubnets has no option "subnettype"',
    ],
  ])("%s", (_, wrong, ...parts) => {
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
  test("numbers and names that are known when it is deployed only", () => {
    const stack = newStack();
    const number = new CfnParameter(stack, "Memory", { type: "Number" }).valueAsNumber;
    const names = ["Control", "Visits", "Bucket"].map((id) => new CfnParameter(stack, id).valueAsString);
    const [controlTable = "", visits = "", bucket = ""] = names;
    const existing = { controlTable, stateTables: { visits }, bucket };
    const lambda = { memorySize: number, environment: { NODE_OPTIONS: `${controlTable}` } };
    const props = { ...rightProps(stack), existing, functions: { visits: { lambda } } };
    expect(refusal(() => new TidemarkApp(stack, "App", props))).toBe("nothing was refused");
  });

  test("what a function may be besides", () => {
    const lambda = {
      ...{ memorySize: 128, reservedConcurrentExecutions: 1, tracing: Tracing.DISABLED },
      ...{ architecture: Architecture.X86_64, environment: { NODE_OPTIONS: "--enable-source-maps --no-warnings" } },
      bundling: {
        format: OutputFormat.ESM,
        sourceMap: true,
        bundleAwsSDK: true,
        minify: false,
        externalModules: ["sharp"],
      },
    };
    expect(saidOf({ functions: { visits: { lambda } }, coordinator: { lambda } })).toBe("nothing was refused");
  });

  test("options of tables while one table is made, and letters kept for as long as the stream", () => {
    const existing = { controlTable: "old-control", stateTables: { visits: "old-visits" } };
    const tables = { warmThroughput: { writeUnitsPerSecond: 4_000 } };
    const checkpoints = { deadLetterExpiration: Duration.days(1) };
    expect(saidOf({ existing, tables, checkpoints, logs: { retention: RetentionDays.INFINITE } })).toBe(
      "nothing was refused",
    );
  });

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
    [
      { streamArn: "arn:aws:kinesis:eu-west-1:111111111111:stream/in/consumer/c:1" },
      undefined,
      "The stream of fromKinesis is",
      "a consumer with enhanced fan-out",
    ],
    [
      { streamArn: "arn:aws:dynamodb:eu-west-1:111111111111:table/t/stream/2026-01-31T00:00:00.000" },
      undefined,
      "The stream of fromKinesis is",
      "must be a stream of Kinesis Data Streams",
    ],
    [{ streamArn: "clicks" }, undefined, 'The stream of fromKinesis is "clicks"', "the stream's own ARN"],
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
