/** What a deployment makes, resource by resource. Who may do what: permissions.test.ts. */
import { type App, Duration, RemovalPolicy, Stack } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";
import { SnsAction } from "aws-cdk-lib/aws-cloudwatch-actions";
import { Table } from "aws-cdk-lib/aws-dynamodb";
import { type IVpc, Vpc } from "aws-cdk-lib/aws-ec2";
import { PolicyStatement } from "aws-cdk-lib/aws-iam";
import { Stream } from "aws-cdk-lib/aws-kinesis";
import { Key } from "aws-cdk-lib/aws-kms";
import { Tracing } from "aws-cdk-lib/aws-lambda";
import { RetentionDays } from "aws-cdk-lib/aws-logs";
import { Bucket, type IBucket } from "aws-cdk-lib/aws-s3";
import { Topic } from "aws-cdk-lib/aws-sns";
import { AwsSolutionsChecks } from "cdk-nag";
import { describe, expect, test } from "vitest";
import exampleApp from "../../../examples/flights/app.ts";
import { fromKinesis, TidemarkApp } from "../../../infra/constructs/index.ts";
import { ExampleStack } from "../../../infra/example-stack.ts";
import { describeApp } from "../../../shared/app/app-description.ts";
import { defineApp } from "../../../shared/index.ts";
import { APP_METRICS, FUNCTION_METRICS } from "../../../shared/lambda/metric-names.ts";
import { readSettings, SETTINGS_VARIABLE } from "../../../shared/runtime/settings.ts";
import {
  counting,
  deploy,
  newStack,
  type Resource,
  resourceOf,
  resourcesOf,
  rightProps,
  shop,
  spelt,
} from "./deployed-app.ts";

const { template, app: deployed } = deploy();
const only = (from: Template, type: string) => {
  const found = resourcesOf(from, type);
  expect(found).toHaveLength(1);
  return (found[0] as (typeof found)[number])[1];
};

describe("the tables", () => {
  const keySchema = (partition: string, sort: string) => ({
    KeySchema: [
      { AttributeName: partition, KeyType: "HASH" },
      { AttributeName: sort, KeyType: "RANGE" },
    ],
    AttributeDefinitions: [
      { AttributeName: partition, AttributeType: "S" },
      { AttributeName: sort, AttributeType: "S" },
    ],
  });

  test("are one for each function and one for control, with the adapters' keys", () => {
    template.resourceCountIs("AWS::DynamoDB::Table", 3);
    template.resourcePropertiesCountIs("AWS::DynamoDB::Table", keySchema("key", "gen"), 2);
    template.resourcePropertiesCountIs("AWS::DynamoDB::Table", keySchema("pk", "sk"), 1);
  });

  test("are on demand, can be set back in time, cannot be deleted, and outlive the stack", () => {
    for (const [, { Properties, DeletionPolicy, UpdateReplacePolicy }] of resourcesOf(
      template,
      "AWS::DynamoDB::Table",
    )) {
      expect(Properties).toMatchObject({
        BillingMode: "PAY_PER_REQUEST",
        PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
        DeletionProtectionEnabled: true,
      });
      expect([DeletionPolicy, UpdateReplacePolicy]).toEqual(["Retain", "Retain"]);
    }
  });

  test("are what the props say", () => {
    const changed = deploy((stack) => ({
      encryptionKey: new Key(stack, "Key"),
      tables: {
        removalPolicy: RemovalPolicy.DESTROY,
        pointInTimeRecovery: false,
        provisioned: { readCapacity: 7, writeCapacity: 9 },
        warmThroughput: { readUnitsPerSecond: 12_000, writeUnitsPerSecond: 8_000 },
      },
    })).template;
    for (const [, { Properties, DeletionPolicy }] of resourcesOf(changed, "AWS::DynamoDB::Table")) {
      expect(Properties).toMatchObject({
        ProvisionedThroughput: { ReadCapacityUnits: 7, WriteCapacityUnits: 9 },
        PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: false },
        WarmThroughput: { ReadUnitsPerSecond: 12_000, WriteUnitsPerSecond: 8_000 },
        SSESpecification: { SSEEnabled: true, SSEType: "KMS", KMSMasterKeyId: expect.anything() },
        DeletionProtectionEnabled: false,
      });
      expect(Properties.BillingMode).not.toBe("PAY_PER_REQUEST");
      expect(DeletionPolicy).toBe("Delete");
    }
  });

  test("keep their protection when both are asked for", () => {
    const kept = deploy(() => ({
      tables: { removalPolicy: RemovalPolicy.DESTROY, deletionProtection: true },
    })).template;
    kept.allResourcesProperties("AWS::DynamoDB::Table", { DeletionProtectionEnabled: true });
  });
});

describe("the bucket", () => {
  test("is versioned, encrypted, closed to the public, and outlives the stack", () => {
    const { Properties, DeletionPolicy, UpdateReplacePolicy } = only(template, "AWS::S3::Bucket");
    expect(Properties).toMatchObject({
      VersioningConfiguration: { Status: "Enabled" },
      BucketEncryption: {
        ServerSideEncryptionConfiguration: [{ ServerSideEncryptionByDefault: { SSEAlgorithm: "AES256" } }],
      },
      PublicAccessBlockConfiguration: {
        BlockPublicAcls: true,
        BlockPublicPolicy: true,
        IgnorePublicAcls: true,
        RestrictPublicBuckets: true,
      },
    });
    expect([DeletionPolicy, UpdateReplacePolicy]).toEqual(["Retain", "Retain"]);
  });

  test("drops unfinished uploads after a day, old versions after 30, dead letters after 400, and no checkpoint ever", () => {
    expect(only(template, "AWS::S3::Bucket").Properties.LifecycleConfiguration.Rules).toEqual([
      { AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 }, Status: "Enabled" },
      { NoncurrentVersionExpiration: { NoncurrentDays: 30 }, ExpiredObjectDeleteMarker: true, Status: "Enabled" },
      { ExpirationInDays: 400, Prefix: "shop/dead-letters/", Status: "Enabled" },
    ]);
  });

  const policyOf = (from: Template) => only(from, "AWS::S3::BucketPolicy").Properties.PolicyDocument.Statement;
  const sid = "Ofshopc4d120e6";

  test("refuses what does not come by TLS 1.2 or later, and writes by all but those whose work they are", () => {
    const [tls, tls12, ...denied] = policyOf(template);
    for (const [statement, condition] of [
      [tls, { Bool: { "aws:SecureTransport": "false" } }],
      [tls12, { NumericLessThan: { "s3:TlsVersion": 1.2 } }],
    ]) {
      expect(statement).toMatchObject({
        Effect: "Deny",
        Action: "s3:*",
        Principal: { AWS: "*" },
        Condition: condition,
      });
      expect(statement.Resource.map(spelt)).toEqual(["<AppCheckpoints.Arn>", "<AppCheckpoints.Arn>/*"]);
    }
    const writing = denied.slice(0, 2);
    for (const { Effect, Principal, Action, Condition } of writing) {
      expect({ Effect, Principal }).toEqual({ Effect: "Deny", Principal: { AWS: "*" } });
      expect(Action).toEqual([
        "s3:DeleteObject",
        "s3:DeleteObjectVersion",
        "s3:PutObject",
        "s3:ReplicateDelete",
        "s3:ReplicateObject",
      ]);
      expect(Object.keys(Condition)).toEqual(["ArnNotEquals"]);
    }
    const objects = (...paths: readonly string[]) => paths.map((path) => `<AppCheckpoints.Arn>/shop/${path}`);
    expect(
      writing.map(({ Resource, Condition }: (typeof writing)[number]) => [
        [Resource].flat().map(spelt),
        Condition.ArnNotEquals["aws:PrincipalArn"].map(spelt),
      ]),
    ).toEqual([
      [
        objects("chk-*", "claim.json", "generations/*", "redrive/*"),
        ["<AppCoordinatorRole.Arn>", "<AppSnapshotRole.Arn>"],
      ],
      [objects("dead-letters/*"), ["<AppFunctionvisitsHandlerRole.Arn>", "<AppFunctionordersHandlerRole.Arn>"]],
    ]);
  });

  test("cannot be changed by any of the app's roles, whatever else they are allowed, nor can versions and locks of objects", () => {
    const own = policyOf(template).slice(4);
    expect(own.map(({ Sid }: { readonly Sid: string }) => Sid)).toEqual([
      `FunctionsLeaveTheBucketAlone${sid}`,
      `FunctionsLeaveObjectsAlone${sid}`,
    ]);
    const roles = resourcesOf(template, "AWS::IAM::Role").map(([id]) => spelt({ "Fn::GetAtt": [id, "Arn"] }));
    expect(roles).toHaveLength(5);
    for (const { Effect, Principal, Condition } of own) {
      expect({ Effect, Principal }).toEqual({ Effect: "Deny", Principal: { AWS: "*" } });
      expect(Condition.ArnEquals["aws:PrincipalArn"].map(spelt).sort()).toEqual(roles.sort());
    }
    const [bucket, objects] = own;
    expect(bucket.Action).toEqual(
      expect.arrayContaining([
        ...["s3:PutBucketPolicy", "s3:DeleteBucketPolicy", "s3:PutBucketAcl", "s3:PutBucketVersioning"],
        ...["s3:PutLifecycleConfiguration", "s3:PutReplicationConfiguration", "s3:PutBucketObjectLockConfiguration"],
        ...["s3:PutBucketPublicAccessBlock", "s3:PutEncryptionConfiguration", "s3:DeleteBucket"],
      ]),
    );
    expect(spelt(bucket.Resource)).toBe("<AppCheckpoints.Arn>");
    expect(objects.Action).toEqual(
      expect.arrayContaining([
        ...["s3:PutObjectAcl", "s3:PutObjectVersionAcl", "s3:DeleteObjectVersion"],
        ...["s3:PutObjectRetention", "s3:PutObjectLegalHold", "s3:BypassGovernanceRetention"],
      ]),
    );
    expect(spelt(objects.Resource)).toBe("<AppCheckpoints.Arn>/shop/*");
  });

  test("of several apps has a policy whose statements have names of their own", () => {
    const stack = newStack();
    const bucket = new Bucket(stack, "Shared") as IBucket;
    for (const name of ["shop", "shop-2", "SHOP2"]) {
      const { functions } = shop;
      new TidemarkApp(stack, name, {
        ...rightProps(new Stack(stack.node.root as App, name)),
        app: defineApp({ name, functions }),
        existing: { bucket },
      });
    }
    const sids = policyOf(Template.fromStack(stack)).map(({ Sid }: { readonly Sid: string }) => Sid);
    expect(sids).toHaveLength(18);
    expect(new Set(sids).size).toBe(18);
    for (const one of sids) expect(one).toMatch(/^[A-Za-z0-9]+$/);
  });

  test("stays with the tables when the stack goes; its policy goes, and so can be made anew by the next stack", () => {
    const own = Object.entries(template.toJSON().Resources as Record<string, Resource>).filter(([id]) =>
      /^App/.test(id),
    );
    const kept = own.filter(([, { DeletionPolicy = "Delete" }]) => DeletionPolicy !== "Delete");
    expect(new Set(kept.map(([, { Type }]) => Type))).toEqual(new Set(["AWS::DynamoDB::Table", "AWS::S3::Bucket"]));
    expect(own.map(([, { Type }]) => Type)).toContain("AWS::S3::BucketPolicy");
  });

  test("is what the props say, and every path begins with the prefix", () => {
    const { app, template: changed } = deploy((stack) => ({
      encryptionKey: new Key(stack, "Key"),
      checkpoints: {
        prefix: "team/shop",
        removalPolicy: RemovalPolicy.DESTROY,
        noncurrentVersionExpiration: Duration.days(3),
        deadLetterExpiration: Duration.days(5),
      },
    }));
    const { Properties, DeletionPolicy } = only(changed, "AWS::S3::Bucket");
    expect(Properties.LifecycleConfiguration.Rules).toEqual([
      expect.anything(),
      expect.objectContaining({ NoncurrentVersionExpiration: { NoncurrentDays: 3 } }),
      { ExpirationInDays: 5, Prefix: "team/shop/dead-letters/", Status: "Enabled" },
    ]);
    expect(Properties.BucketEncryption.ServerSideEncryptionConfiguration[0]).toMatchObject({
      BucketKeyEnabled: true,
      ServerSideEncryptionByDefault: { SSEAlgorithm: "aws:kms" },
    });
    expect(DeletionPolicy).toBe("Delete");
    expect(app.checkpoints.root).toBe("team/shop/");
    const granted = JSON.stringify(changed.findResources("AWS::IAM::Policy"));
    expect(granted).toContain("/team/shop/chk-*");
    expect(granted).not.toMatch(/"\/shop\//);
  });
});

describe("the mapping of a function", () => {
  test("is the protocol's: each property as it must be, and no other", () => {
    const { Properties } = resourceOf(template, "AWS::Lambda::EventSourceMapping", "AppFunctionvisitsMapping");
    expect(Properties).toEqual({
      FunctionName: { Ref: expect.stringMatching(/^AppFunctionvisitsHandler[0-9A-F]{8}$/) },
      EventSourceArn: { "Fn::GetAtt": [expect.stringMatching(/^Clicks/), "Arn"] },
      BatchSize: 500,
      MaximumBatchingWindowInSeconds: 1,
      StartingPosition: "TRIM_HORIZON",
      FunctionResponseTypes: ["ReportBatchItemFailures"],
      ParallelizationFactor: 1,
      BisectBatchOnFunctionError: false,
      MaximumRetryAttempts: -1,
      MaximumRecordAgeInSeconds: -1,
    });
    template.resourceCountIs("AWS::Lambda::EventSourceMapping", 2);
  });

  test("takes batch size and window from its binding, and the coordinator is told what was deployed", () => {
    const { template: changed } = deploy((stack) => ({
      sources: {
        clicks: fromKinesis(new Stream(stack, "Other"), { batchSize: 42, maxBatchingWindow: Duration.seconds(7) }),
      },
    }));
    changed.allResourcesProperties("AWS::Lambda::EventSourceMapping", {
      BatchSize: 42,
      MaximumBatchingWindowInSeconds: 7,
    });
    const { mappings } = settingsOf(changed, "AppCoordinator").deployment ?? {};
    expect(mappings).toEqual({
      visits: { uuid: "<AppFunctionvisitsMapping>", expected: { batchSize: 42, maximumBatchingWindowSeconds: 7 } },
      orders: { uuid: "<AppFunctionordersMapping>", expected: { batchSize: 42, maximumBatchingWindowSeconds: 7 } },
    });
  });

  test("starts at the beginning whatever startFrom says, which the function itself keeps to", () => {
    const stack = newStack();
    const late = defineApp({
      name: "late",
      functions: [{ function: counting("visits"), source: "clicks", startFrom: new Date("2026-01-31T00:00:00Z") }],
    });
    const app = new TidemarkApp(stack, "App", rightProps(stack, late));
    expect(app.function("visits").mapping.startingPosition).toBe("TRIM_HORIZON");
    expect(describeApp(late).functions[0]?.startTimeMs).toBe(Date.parse("2026-01-31T00:00:00Z"));
  });

  test("is made only once its function may read the stream", () => {
    const mappings = template.findResources("AWS::Lambda::EventSourceMapping");
    for (const { DependsOn } of Object.values(mappings)) {
      expect(DependsOn.some((id: string) => id.includes("RoleDefaultPolicy"))).toBe(true);
    }
  });
});

function settingsOf(from: Template, id: string) {
  const { Properties } = resourceOf(from, "AWS::Lambda::Function", id);
  return readSettings(
    { [SETTINGS_VARIABLE]: spelt(Properties.Environment.Variables[SETTINGS_VARIABLE]) },
    describeApp(shop),
  );
}

describe("the functions", () => {
  const EVENT = ["AppFunctionvisitsHandler", "AppFunctionordersHandler"];
  const ALL = [...EVENT, "AppCoordinator", "AppSnapshot", "AppRestore"];
  const places = {
    service: deployed.service,
    storageUrl: "s3://<AppCheckpoints>/shop",
    sources: { clicks: "kinesis:<Clicks>" },
    app: describeApp(shop),
  };
  const states = { visits: "<AppStatevisits>", orders: "<AppStateorders>" };
  const snapshot = { snapshot: "<AppSnapshot>", snapshotWorkers: 4 };

  test("are one for each of the app's, and three of Tidemark's, on Node 22", () => {
    template.resourceCountIs("AWS::Lambda::Function", ALL.length);
    for (const id of ALL) {
      expect(resourceOf(template, "AWS::Lambda::Function", id).Properties).toMatchObject({
        Runtime: "nodejs22.x",
        Handler: "index.handler",
        Architectures: ["arm64"],
      });
    }
  });

  test("are told no more than their work takes: an event function knows of no other", () => {
    const control = "<AppControl>";
    expect(settingsOf(template, "AppFunctionvisitsHandler")).toEqual({
      ...places,
      tables: { control, state: { visits: "<AppStatevisits>" } },
    });
    expect(settingsOf(template, "AppSnapshot")).toEqual({ ...places, tables: { control, state: states } });
    expect(settingsOf(template, "AppCoordinator")).toMatchObject({
      ...places,
      tables: { control, state: states },
      deployment: {
        ...snapshot,
        functions: { visits: "<AppFunctionvisitsHandler>", orders: "<AppFunctionordersHandler>" },
      },
    });
    expect(settingsOf(template, "AppRestore")).toEqual({
      ...places,
      tables: { control, state: {} },
      deployment: { ...snapshot, functions: {}, mappings: {}, coordinator: "<AppCoordinator>" },
    });
  });

  test("hash keys in logs, unless the props say otherwise", () => {
    const shown = deploy(() => ({ logKeys: true })).template;
    for (const id of ALL) {
      expect(settingsOf(template, id).logKeys).toBeUndefined();
      expect(settingsOf(shown, id).logKeys).toBe(true);
    }
  });

  test("log into groups of their own, kept for a month, or as the props say", () => {
    template.resourceCountIs("AWS::Logs::LogGroup", ALL.length);
    for (const id of ALL) {
      const { LoggingConfig } = resourceOf(template, "AWS::Lambda::Function", id).Properties;
      expect(spelt(LoggingConfig.LogGroup)).toBe(`<${id}Log>`);
      expect(resourceOf(template, "AWS::Logs::LogGroup", `${id}Log`).Properties.RetentionInDays).toBe(30);
    }
    const logs = { retention: RetentionDays.ONE_YEAR, removalPolicy: RemovalPolicy.RETAIN };
    const longer = deploy(() => ({ logs })).template;
    longer.allResources("AWS::Logs::LogGroup", { Properties: { RetentionInDays: 365 }, DeletionPolicy: "Retain" });
  });

  describe("with a key of one's own", () => {
    const groupsOf = (from: Template) =>
      resourcesOf(from, "AWS::Logs::LogGroup").map(
        ([, { Properties }]) => Properties.KmsKeyId && spelt(Properties.KmsKeyId),
      );
    const logsStatements = (from: Template, id: string) =>
      resourceOf(from, "AWS::KMS::Key", id).Properties.KeyPolicy.Statement.filter(
        ({ Principal }: { readonly Principal: object }) => JSON.stringify(Principal).includes("logs."),
      );

    test("log into groups that it encrypts, which its policy lets CloudWatch Logs do for this account's alone", () => {
      const { template: own } = deploy((stack) => ({ encryptionKey: new Key(stack, "Key") }));
      expect(groupsOf(own)).toEqual(ALL.map(() => "<Key.Arn>"));
      const [statement] = logsStatements(own, "Key");
      expect(spelt(statement.Principal.Service)).toBe("logs.<AWS::Region>.amazonaws.com");
      expect(spelt(statement.Condition.ArnLike["kms:EncryptionContext:aws:logs:arn"])).toBe(
        "arn:<AWS::Partition>:logs:<AWS::Region>:<AWS::AccountId>:log-group:*",
      );
    });

    test("log with another key, or with CloudWatch Logs' own, when logs says so", () => {
      const { template: other } = deploy((stack) => ({
        ...{ encryptionKey: new Key(stack, "Key"), logs: { encryptionKey: new Key(stack, "Logs") } },
      }));
      expect(groupsOf(other)).toEqual(ALL.map(() => "<Logs.Arn>"));
      expect(logsStatements(other, "Key")).toEqual([]);
      const none = deploy((stack) => ({ encryptionKey: new Key(stack, "Key"), logs: { encryptionKey: false } }));
      expect(groupsOf(none.template)).toEqual(ALL.map(() => undefined));
      expect(logsStatements(none.template, "Key")).toEqual([]);
    });

    test("warns of one whose policy cannot be added to, with the statement to add", () => {
      const arn = "arn:aws:kms:eu-west-1:111111111111:key/0d0d0d0d-0000-4000-8000-000000000000";
      const { app, template: own } = deploy((stack) => ({ encryptionKey: Key.fromKeyArn(stack, "Key", arn) }));
      expect(groupsOf(own)).toEqual(ALL.map(() => arn));
      const warnings = app.node.metadata
        .filter(({ type }) => type === "aws:cdk:warning")
        .map(({ data }) => String(data));
      expect(warnings).toEqual([
        expect.stringMatching(
          /kms:EncryptionContext:aws:logs:arn.*logs\.encryptionKey|logs\.encryptionKey.*kms:EncryptionContext/s,
        ),
      ]);
    });
  });

  test("take the user's own props, each its own", () => {
    const changed = deploy(() => ({
      functions: { visits: { lambda: { memorySize: 3008, environment: { REGION_NAME: "north" } } } },
      coordinator: { lambda: { timeout: Duration.minutes(10) } },
      snapshot: { workers: 16, lambda: { memorySize: 2048 } },
      restore: { lambda: { description: "Ours" } },
    })).template;
    const propsOf = (id: string) => resourceOf(changed, "AWS::Lambda::Function", id).Properties;
    expect(propsOf("AppFunctionvisitsHandler").MemorySize).toBe(3008);
    expect(propsOf("AppFunctionvisitsHandler").Environment.Variables).toMatchObject({
      REGION_NAME: "north",
      TIDEMARK_FUNCTION: "visits",
      NODE_OPTIONS: "--enable-source-maps",
    });
    expect(propsOf("AppFunctionordersHandler").MemorySize).toBe(1024);
    expect(propsOf("AppCoordinator").Timeout).toBe(600);
    expect(propsOf("AppSnapshot").MemorySize).toBe(2048);
    expect(settingsOf(changed, "AppCoordinator").deployment?.snapshotWorkers).toBe(16);
    expect(propsOf("AppRestore").Description).toBe("Ours");
  });

  test("run in a network of one's own", () => {
    const changed = deploy((stack) => ({ vpc: new Vpc(stack, "Vpc") as IVpc })).template;
    for (const id of ALL) {
      const { SubnetIds } = resourceOf(changed, "AWS::Lambda::Function", id).Properties.VpcConfig;
      expect(SubnetIds.map(spelt).every((subnet: string) => subnet.startsWith("<VpcPrivateSubnet"))).toBe(true);
    }
  });
});

describe("the coordinator", () => {
  test("is invoked once a minute, also by an app that sets no interval", () => {
    const { name, functions } = shop;
    for (const rules of [template, deploy(() => ({ app: defineApp({ name, functions }) })).template]) {
      const { Properties } = only(rules, "AWS::Events::Rule");
      expect(Properties).toMatchObject({ ScheduleExpression: "rate(1 minute)", State: "ENABLED" });
      expect(Properties.Targets.map(({ Arn }: { Arn: unknown }) => spelt(Arn))).toEqual(["<AppCoordinator.Arn>"]);
    }
  });

  test("runs once at a time, unless the account has no concurrency to reserve", () => {
    const reserved = (from: Template) =>
      resourcesOf(from, "AWS::Lambda::Function")
        .filter(([, { Properties }]) => Properties.ReservedConcurrentExecutions !== undefined)
        .map(([id, { Properties }]) => [spelt({ Ref: id }), Properties.ReservedConcurrentExecutions]);
    expect(reserved(template)).toEqual([["<AppCoordinator>", 1]]);
    expect(reserved(deploy(() => ({ coordinator: { exclusive: false } })).template)).toEqual([]);
  });

  test("is not invoked again by Lambda when it fails: the rule comes in a minute", () => {
    expect(only(template, "AWS::Lambda::EventInvokeConfig").Properties).toMatchObject({
      MaximumRetryAttempts: 0,
      MaximumEventAgeInSeconds: 60,
    });
  });
});

const SIDS = [
  "OnlyTidemarkWritesCheckpoints",
  "OnlyFunctionsWriteDeadLetters",
  "FunctionsLeaveTheBucketAlone",
  "FunctionsLeaveObjectsAlone",
];

describe("what is there already", () => {
  const existing = {
    controlTable: "old-control",
    stateTables: { visits: "old-visits", orders: "old-orders" },
    bucket: "old-bucket",
  };
  const { template: taken } = deploy(() => ({ existing }));

  test("is used instead of made", () => {
    taken.resourceCountIs("AWS::DynamoDB::Table", 0);
    taken.resourceCountIs("AWS::S3::Bucket", 0);
    expect(settingsOf(taken, "AppCoordinator")).toMatchObject({
      tables: { control: "old-control", state: { visits: "old-visits", orders: "old-orders" } },
      storageUrl: "s3://old-bucket/shop",
    });
    expect(JSON.stringify(taken.findResources("AWS::IAM::Policy"))).toContain(":table/old-visits");
  });

  test("has its bucket protected as a new one is, when it is taken over by its name", () => {
    const statements = only(taken, "AWS::S3::BucketPolicy").Properties.PolicyDocument.Statement;
    expect(statements).toMatchObject([
      { Effect: "Deny", Condition: { Bool: { "aws:SecureTransport": "false" } } },
      { Effect: "Deny", Condition: { NumericLessThan: { "s3:TlsVersion": 1.2 } } },
      ...SIDS.map((name) => ({ Sid: expect.stringMatching(new RegExp(`^${name}Ofshop[0-9a-f]{8}$`)), Effect: "Deny" })),
    ]);
    for (const { Resource } of statements.slice(0, 2)) {
      expect(Resource.map(spelt)).toEqual([
        expect.stringMatching(/:old-bucket$/),
        expect.stringMatching(/:old-bucket\/\*$/),
      ]);
    }
  });

  test("may be a part: what is not named is made", () => {
    const { template: mixed } = deploy(() => ({ existing: { stateTables: { visits: "old-visits" } } }));
    mixed.resourceCountIs("AWS::DynamoDB::Table", 2);
    mixed.resourceCountIs("AWS::S3::Bucket", 1);
  });

  test("may be constructs: statements are added to a bucket of this CDK app", () => {
    const { template: own } = deploy((stack) => ({
      existing: { controlTable: Table.fromTableName(stack, "T", "ours"), bucket: new Bucket(stack, "Ours") as IBucket },
    }));
    expect(settingsOf(own, "AppCoordinator").tables?.control).toBe("ours");
    const statements = only(own, "AWS::S3::BucketPolicy").Properties.PolicyDocument.Statement;
    expect(statements).toMatchObject(
      ["OnlyTls", "OnlyTls12", ...SIDS].map((name) => ({
        Sid: expect.stringMatching(new RegExp(`^${name}Ofshop[0-9a-f]{8}$`)),
      })),
    );
    // The rest of the bucket is not the app's.
    for (const { Resource } of statements.slice(0, 2)) expect(spelt(Resource)).toBe("<Ours.Arn>/shop/*");
  });

  const cannotAdd: [string, RegExp, (stack: Stack) => IBucket][] = [
    ["an imported bucket", /was not made in this CDK app/, (stack) => Bucket.fromBucketName(stack, "Theirs", "theirs")],
    [
      "a bucket of another stack, which would have to wait for this one",
      /is of another stack/,
      (stack) => new Bucket(new Stack(stack.node.root as App, "Other"), "Theirs", { bucketName: "theirs" }) as IBucket,
    ],
  ];

  test.each(cannotAdd)("is refused of %s, with the statements that its policy needs", (_, why, bucket) => {
    let thrown: unknown;
    try {
      deploy((stack) => ({ existing: { bucket: bucket(stack) } }));
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ kind: "fix-configuration", message: expect.stringMatching(why) });
    const { message } = thrown as Error;
    expect(message).toContain("existing.bucketPolicyByHand");
    for (const part of ["OnlyTls", ...SIDS, "/shop/chk-*", "/shop/dead-letters/*"]) expect(message).toContain(part);
  });

  test.each(cannotAdd)(
    "takes %s whose policy somebody keeps by hand, and puts out what it must have",
    (_, _why, bucket) => {
      const { template: own } = deploy((stack) => ({ existing: { bucket: bucket(stack), bucketPolicyByHand: true } }));
      own.resourceCountIs("AWS::S3::BucketPolicy", 0);
      const [output] = Object.values(own.findOutputs("*")).map(({ Value }) => spelt(Value));
      for (const part of ["OnlyTls", ...SIDS, "shop/chk-*", "<AppCoordinatorRole.Arn>"]) expect(output).toContain(part);
    },
  );
});

describe("alarms and dashboard", () => {
  const alarm = (id: string, from = template) => resourceOf(from, "AWS::CloudWatch::Alarm", `AppAlarm${id}`).Properties;
  const service = { Name: "service", Value: deployed.service };

  test.each([
    ["CheckpointFailed", "CheckpointFailed", 1, "GreaterThanOrEqualToThreshold", "notBreaching"],
    // Three intervals of a minute are less than the 15 minutes that are the least.
    ["CheckpointTooOld", "CheckpointAge", 900, "GreaterThanThreshold", "breaching"],
    ["RestoreRunning", "RestoreRunning", 1, "GreaterThanOrEqualToThreshold", "notBreaching"],
    ["MappingDrift", "MappingDrift", 1, "GreaterThanOrEqualToThreshold", "notBreaching"],
  ])("%s watches %s of the app", (id, metric, threshold, comparison, missing) => {
    expect(alarm(id)).toMatchObject({
      ...{ Namespace: "Tidemark", MetricName: metric, Dimensions: [service] },
      ...{ Threshold: threshold, ComparisonOperator: comparison, TreatMissingData: missing },
    });
    expect(Object.values(APP_METRICS)).toContain(metric);
  });

  test.each([
    ["DeadLetters", "DeadLetters"],
    ["Holes", "Holes"],
    ["SplitStopped", "SplitsStopped"],
  ])("%s watches %s of each function", (id, metric) => {
    for (const name of ["visits", "orders"]) {
      expect(alarm(`${id}${name}`)).toMatchObject({
        ...{ Namespace: "Tidemark", MetricName: metric, Statistic: "Sum", Threshold: 1 },
        Dimensions: [{ Name: "function", Value: name }, service],
      });
    }
    expect(Object.values(FUNCTION_METRICS)).toContain(metric);
  });

  test("the rate of refused records is watched of each function, in percent of what was delivered", () => {
    const rate = alarm("RefusedRateorders");
    expect(rate).toMatchObject({ Threshold: 1, ComparisonOperator: "GreaterThanThreshold" });
    const metrics = rate.Metrics as {
      Expression?: string;
      MetricStat?: { Stat: string; Metric: { MetricName: string } };
    }[];
    expect(metrics.flatMap(({ Expression }) => Expression ?? [])).toEqual([
      "IF(delivered > 0, 100 * FILL(refused, 0) / delivered, 0)",
    ]);
    const watched = metrics.flatMap(({ MetricStat }) => MetricStat ?? []);
    expect(watched.map(({ Stat, Metric }) => [Metric.MetricName, Stat])).toEqual([
      ["RecordsRefused", "Sum"],
      ["BatchSize", "Sum"],
    ]);
    const lenient = deploy(() => ({ alarms: { refusedPercent: 20 } })).template;
    expect(alarm("RefusedRateorders", lenient).Threshold).toBe(20);
  });

  const ageThreshold = (of: Parameters<typeof deploy>[0]) =>
    alarm("IteratorAgevisits", deploy(of).template).Threshold / 3_600_000;

  test("the iterator's age goes off at half of the stream's retention, in hours", () => {
    const days = (stack: Parameters<NonNullable<Parameters<typeof deploy>[0]>>[0]) =>
      new Stream(stack, "Long", { retentionPeriod: Duration.days(7) });
    expect(alarm("IteratorAgevisits")).toMatchObject({ Namespace: "AWS/Lambda", MetricName: "IteratorAge" });
    expect(ageThreshold(() => ({}))).toBe(12);
    expect(ageThreshold((stack) => ({ sources: { clicks: fromKinesis(days(stack)) } }))).toBe(84);
    expect(
      ageThreshold((stack) => ({
        sources: { clicks: fromKinesis(Stream.fromStreamArn(stack, "S", arn), { retention: Duration.hours(48) }) },
      })),
    ).toBe(24);
  });
  const arn = "arn:aws:kinesis:eu-west-1:111111111111:stream/clicks";

  test("the lag that checkpoints see goes off at the same, also while nothing is read that has an age", () => {
    for (const name of ["visits", "orders"]) {
      expect(alarm(`SplitLag${name}`)).toMatchObject({
        ...{ Namespace: "Tidemark", MetricName: "SplitLag", Statistic: "Maximum", Period: 300 },
        ...{ Threshold: 12 * 3_600_000, ComparisonOperator: "GreaterThanThreshold", EvaluationPeriods: 1 },
        Dimensions: [{ Name: "function", Value: name }, service],
        // Checkpoints may be further apart than a period: the alarm stands until one sees less.
        TreatMissingData: "ignore",
      });
    }
  });

  test("there is none on late checkpoints where no interval is set", () => {
    const { name, functions } = shop;
    const { app, template: without } = deploy(() => ({ app: defineApp({ name, functions }) }));
    expect(app.alarms?.checkpointTooOld).toBeUndefined();
    expect(Object.keys(without.findResources("AWS::CloudWatch::Alarm"))).toHaveLength(3 + 2 * 6);
  });

  test("late is three intervals, or what the props say", () => {
    const { name, functions } = shop;
    const slow = defineApp({ name, functions, checkpointing: { intervalMs: 3_600_000 } });
    expect(alarm("CheckpointTooOld", deploy(() => ({ app: slow })).template).Threshold).toBe(3 * 3600);
    const said = deploy(() => ({ alarms: { checkpointAge: Duration.minutes(4) } })).template;
    expect(alarm("CheckpointTooOld", said).Threshold).toBe(240);
  });

  test("act as the props say, when they go off and when they are over", () => {
    const { template: acting } = deploy((stack) => ({ alarms: { actions: [new SnsAction(new Topic(stack, "Ops"))] } }));
    for (const [, { Properties }] of resourcesOf(acting, "AWS::CloudWatch::Alarm")) {
      expect([...Properties.AlarmActions, ...Properties.OKActions].map(spelt)).toEqual(["<Ops>", "<Ops>"]);
    }
  });

  test("the dashboard shows every metric that the functions write", () => {
    const body = spelt(only(template, "AWS::CloudWatch::Dashboard").Properties.DashboardBody);
    for (const metric of [...Object.values(APP_METRICS), ...Object.values(FUNCTION_METRICS)]) {
      expect(body).toContain(`"Tidemark","${metric}"`);
    }
    expect(only(template, "AWS::CloudWatch::Dashboard").Properties.DashboardName).toBeUndefined();
  });

  test("are left out when the props say so", () => {
    const { app, template: none } = deploy(() => ({ alarms: false, dashboard: false }));
    none.resourceCountIs("AWS::CloudWatch::Alarm", 0);
    none.resourceCountIs("AWS::CloudWatch::Dashboard", 0);
    expect([app.alarms, app.dashboard]).toEqual([undefined, undefined]);
    deploy(() => ({ alarms: false })).template.resourceCountIs("AWS::CloudWatch::Dashboard", 1);
  });

  test("metrics can be taken for alarms of one's own", () => {
    const { app, stack } = deploy();
    expect(
      stack.resolve(app.metricCheckpointAge({ period: Duration.minutes(1) }).toMetricConfig().metricStat),
    ).toMatchObject({
      ...{ namespace: "Tidemark", metricName: "CheckpointAge", statistic: "Maximum" },
      dimensions: [{ name: "service", value: app.service }],
    });
    expect(app.function("visits").metricRecordsFolded().metricName).toBe("RecordsFolded");
  });
});

describe("two apps", () => {
  const { name: _, ...rest } = shop;
  const other = defineApp({ ...rest, name: "shop2" });
  const stack = newStack();
  const props = rightProps(stack);
  const one = new TidemarkApp(stack, "One", props);
  const two = new TidemarkApp(stack, "Two", { ...props, app: other });

  const together = Template.fromStack(stack);

  test("stand in one stack: nothing has a name of its own, and nothing is shared", () => {
    const resources = Object.values(together.toJSON().Resources as Record<string, { Properties: object }>);
    const named = resources.filter(({ Properties = {} }) =>
      [
        "TableName",
        "BucketName",
        "FunctionName",
        "LogGroupName",
        "RoleName",
        "DashboardName",
        "AlarmName",
        "Name",
      ].some((property) => typeof (Properties as Record<string, unknown>)[property] === "string"),
    );
    expect(named).toEqual([]);
    expect(one.checkpoints.bucket).not.toBe(two.checkpoints.bucket);
  });

  test("grant each other nothing", () => {
    const policies = resourcesOf(together, "AWS::IAM::Policy");
    expect(policies).toHaveLength(10);
    for (const [id, { Properties }] of policies) {
      const [own, foreign] = id.startsWith("One") ? ["One", "Two"] : ["Two", "One"];
      const text = JSON.stringify(Properties.PolicyDocument);
      expect(text).toContain(`"${own}`);
      expect(text).not.toContain(`"${foreign}`);
    }
  });
});

describe("one app, deployed twice", () => {
  const root = newStack().node.root as App;
  const apps = ["Blue", "Green"].map((id) => {
    const stack = new Stack(root, id);
    return new TidemarkApp(stack, id, rightProps(stack));
  });

  test("has logs and metrics of its own in each, by a name that alarms and functions agree on", () => {
    expect(new Set(apps.map(({ service }) => service)).size).toBe(2);
    for (const { service, node } of apps) {
      const own = <Resource>(type: string): Resource[] =>
        resourcesOf(Template.fromStack(Stack.of(node.scope as TidemarkApp)), type).flatMap(([id, resource]) =>
          id.startsWith(node.id) ? [resource as Resource] : [],
        );
      const functions = own<{ Properties: { Environment: { Variables: object } } }>("AWS::Lambda::Function");
      expect(functions.length).toBeGreaterThanOrEqual(5);
      for (const { Properties } of functions) {
        expect(JSON.stringify(Properties.Environment.Variables)).toContain(`\\"service\\":\\"${service}\\"`);
      }
      const watched = own<{ Properties: { Namespace: string; Dimensions: { Name: string; Value: string }[] } }>(
        "AWS::CloudWatch::Alarm",
      ).filter(({ Properties }) => Properties.Namespace === "Tidemark");
      expect(watched.length).toBeGreaterThanOrEqual(10);
      for (const { Properties } of watched)
        expect(Properties.Dimensions).toContainEqual({ Name: "service", Value: service });
    }
  });
});

describe("cdk-nag's AwsSolutions", () => {
  const findings = (scope: Parameters<AwsSolutionsChecks["validateScope"]>[0]) =>
    new AwsSolutionsChecks()
      .validateScope(scope)
      .violations.map(
        ({ ruleName, violatingResources }) =>
          `${ruleName} at ${violatingResources.map((resource) => resource.constructPath ?? "").join(", ")}`,
      );

  const traced = { lambda: { tracing: Tracing.ACTIVE } };
  const allTraced = { functions: { visits: traced, orders: traced }, coordinator: traced, snapshot: traced };
  const vpc = {
    vpcId: "vpc-0123456789abcdef0",
    availabilityZones: ["a"],
    privateSubnetIds: ["subnet-0123456789abcdef0"],
  };

  test.each<[string, Parameters<typeof deploy>[0]]>([
    ["a plain deployment", undefined],
    ["a taken over one", () => ({ existing: { bucket: "old-bucket", controlTable: "old-control" } })],
    ["one in a network", (stack) => ({ vpc: Vpc.fromVpcAttributes(stack, "Vpc", vpc) })],
    ["an encrypted one", (stack) => ({ encryptionKey: new Key(stack, "Key", { enableKeyRotation: true }) })],
    ["a traced one", () => ({ ...allTraced, restore: traced })],
  ])("finds nothing in %s that is not explained", (_, more) => {
    expect(findings(deploy(more).app)).toEqual([]);
  });

  test("finds nothing in the example's stack that is not explained", () => {
    const app = newStack().node.root;
    const example = new ExampleStack(app, "Example", { app: exampleApp, module: "examples/flights/app.ts" });
    expect(findings(example)).toEqual([]);
  });

  test("would find a permission for everything in a function that is not traced", () => {
    const { app } = deploy();
    app.coordinator.role?.addToPrincipalPolicy(
      new PolicyStatement({ actions: ["xray:PutTraceSegments"], resources: ["*"] }),
    );
    expect(findings(app)).toEqual([
      expect.stringMatching(/^AwsSolutions-IAM5\[Resource::\*\] at Shop\/App\/Coordinator/),
    ]);
  });

  test("would find what is added without a reason", () => {
    const { app } = deploy();
    app.coordinator.role?.addToPrincipalPolicy(
      new PolicyStatement({ actions: ["s3:*"], resources: [app.checkpoints.bucket.bucketArn] }),
    );
    expect(findings(app)).toEqual([
      expect.stringMatching(/^AwsSolutions-IAM5\[Action::s3:\*\] at Shop\/App\/Coordinator/),
    ]);
  });
});
