import { App, Duration, Stack } from "aws-cdk-lib";
import { Match, Template } from "aws-cdk-lib/assertions";
import { beforeAll, describe, expect, test } from "vitest";
import exampleApp from "../../../functions/app.ts";
import { TidemarkFunction } from "../../../infra/constructs/tidemark-function.ts";
import { ExampleStack } from "../../../infra/example-stack.ts";
import { describeApp } from "../../../shared/app/app-description.ts";
import { readSettings, SETTINGS_VARIABLE } from "../../../shared/lambda/settings.ts";

let template: Template;
beforeAll(() => {
  // Bundling is tested by the app's own test.
  const app = new App({ context: { "aws:cdk:bundling-stacks": [] } });
  const stack = new ExampleStack(app, "Example", { app: exampleApp, streams: { flights: "all-flights" } });
  template = Template.fromStack(stack);
}, 180_000);

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

describe("the example stack", () => {
  test("has one state table for each function and one control table, with the adapters' keys", () => {
    template.resourceCountIs("AWS::DynamoDB::Table", 3);
    template.resourcePropertiesCountIs("AWS::DynamoDB::Table", keySchema("key", "gen"), 2);
    template.resourcePropertiesCountIs("AWS::DynamoDB::Table", keySchema("pk", "sk"), 1);
  });

  test("protects every table: on demand, point-in-time recovery, no deletion, kept with the stack's end", () => {
    template.allResources("AWS::DynamoDB::Table", {
      Properties: {
        BillingMode: "PAY_PER_REQUEST",
        PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
        DeletionProtectionEnabled: true,
      },
      DeletionPolicy: "Retain",
      UpdateReplacePolicy: "Retain",
    });
  });

  test("keeps checkpoints in a bucket that is versioned, encrypted, private and kept", () => {
    template.resourceCountIs("AWS::S3::Bucket", 1);
    template.allResources("AWS::S3::Bucket", {
      Properties: {
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
      },
      DeletionPolicy: "Retain",
      UpdateReplacePolicy: "Retain",
    });
  });

  test("refuses every request to the bucket that does not come by TLS", () => {
    template.hasResourceProperties("AWS::S3::BucketPolicy", {
      PolicyDocument: {
        Statement: Match.arrayWith([
          Match.objectLike({
            Effect: "Deny",
            Principal: { AWS: "*" },
            Action: "s3:*",
            Condition: { Bool: { "aws:SecureTransport": "false" } },
          }),
        ]),
      },
    });
  });

  test("removes unfinished uploads after a day and older versions after 30, and expires no checkpoint", () => {
    const [bucket] = Object.values(template.findResources("AWS::S3::Bucket"));
    expect(bucket?.Properties.LifecycleConfiguration.Rules).toEqual([
      { AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 }, Status: "Enabled" },
      { NoncurrentVersionExpiration: { NoncurrentDays: 30 }, ExpiredObjectDeleteMarker: true, Status: "Enabled" },
    ]);
  });

  test("tells the names that the command line asks for", () => {
    expect(Object.keys(template.findOutputs("*")).sort()).toEqual([
      "CheckpointBucket",
      "ControlTable",
      "StateTablehashchain",
      "StateTableontime",
    ]);
  });

  test("runs each function of the app and the coordinator on Node 22", () => {
    template.resourceCountIs("AWS::Lambda::Function", 3);
    template.allResourcesProperties("AWS::Lambda::Function", { Runtime: "nodejs22.x", Handler: "index.handler" });
  });

  test("gives every function the same settings, with the names of this stack's tables and bucket", () => {
    const written = Object.values(template.findResources("AWS::Lambda::Function")).map((resource) => {
      return resource.Properties.Environment.Variables[SETTINGS_VARIABLE]["Fn::Join"][1];
    });
    // A name known only at deployment stands as a reference between the pieces of JSON around it.
    const text = written[0].map((piece: string | { Ref: string }) => (typeof piece === "string" ? piece : piece.Ref));
    const settings = readSettings({ [SETTINGS_VARIABLE]: text.join("") });
    const tables = Object.keys(template.findResources("AWS::DynamoDB::Table"));
    expect([settings.tables?.control, ...Object.values(settings.tables?.state ?? {})].sort()).toEqual(tables.sort());
    expect(settings.storageUrl).toBe(`s3://${Object.keys(template.findResources("AWS::S3::Bucket"))[0]}`);
    expect(settings.sources).toEqual({ flights: "kinesis:all-flights" });
    expect(settings.app).toEqual(describeApp(exampleApp));
    for (const other of written) expect(other).toEqual(written[0]);
  });

  test("lets an event function touch its own state table and no other's", () => {
    const logicalId = (type: string, part: string) =>
      Object.keys(template.findResources(type)).find((id) => id.startsWith(part));
    const policies = Object.entries(template.findResources("AWS::IAM::Policy"));
    const allowed = (part: string) => JSON.stringify(policies.filter(([id]) => id.startsWith(`Function${part}`)));
    const onTime = logicalId("AWS::DynamoDB::Table", "Stateontime");
    const hashChain = logicalId("AWS::DynamoDB::Table", "Statehashchain");
    expect(allowed("ontime")).toContain(onTime);
    expect(allowed("ontime")).not.toContain(hashChain);
    expect(allowed("coordinator")).toContain(onTime);
    expect(allowed("coordinator")).toContain(hashChain);
  });
});

test("a function without an entry is refused at synth time, by name", () => {
  const stack = new Stack(new App(), "Empty");
  expect(
    () => new TidemarkFunction(stack, "F", { folder: "no-such", settings: "{}", timeout: Duration.minutes(1) }),
  ).toThrow("Write functions/no-such/handler.ts");
});
