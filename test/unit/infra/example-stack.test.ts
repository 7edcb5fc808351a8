import { App } from "aws-cdk-lib";
import { Match, Template } from "aws-cdk-lib/assertions";
import { beforeAll, describe, expect, test } from "vitest";
import { ExampleStack } from "../../../infra/example-stack.ts";
import type { AppDefinition } from "../../../shared/app/define-app.ts";

const binding = (name: string): AppDefinition["functions"][number] => ({
  source: "events",
  function: {
    name,
    event: { "~standard": { version: 1, vendor: "test", validate: (value) => ({ value }) } },
    key: String,
    state: { initial: () => 0 },
    handle: (state) => state,
  },
});

let template: Template;
beforeAll(() => {
  const app: AppDefinition = { name: "example", functions: [binding("on-time"), binding("chain")] };
  template = Template.fromStack(new ExampleStack(new App(), "Example", { app }));
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
      "StateTablechain",
      "StateTableontime",
    ]);
  });
});
