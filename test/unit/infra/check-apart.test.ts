/** Apps of one CDK app that would get in each other's way, whatever way they were given the same thing by. */
import { App, Stack, type StackProps, Stage } from "aws-cdk-lib";
import { AttributeType, type ITable, Table } from "aws-cdk-lib/aws-dynamodb";
import { Bucket, CfnBucket, type IBucket } from "aws-cdk-lib/aws-s3";
import type { Construct } from "constructs";
import { describe, expect, test } from "vitest";
import { TidemarkApp, type TidemarkAppProps } from "../../../infra/constructs/index.ts";
import { defineApp } from "../../../shared/index.ts";
import { counting, rightProps } from "./deployed-app.ts";

const ACCOUNT = "111111111111";
const HERE = { env: { account: ACCOUNT, region: "eu-west-1" } };
const THERE = { env: { account: "222222222222", region: "eu-west-1" } };

const appNamed = (name: string) => defineApp({ name, functions: [{ function: counting("visits"), source: "clicks" }] });

interface Given {
  readonly name?: string;
  readonly stack?: string;
  readonly scope?: Construct;
  readonly stackProps?: StackProps;
  readonly props?: (stack: Stack) => Partial<TidemarkAppProps>;
}

const root = () => new App({ context: { "aws:cdk:bundling-stacks": [] } });

/** Two apps, in stacks of their own unless told otherwise. */
function both(one: Given, two: Given, app = root()): void {
  for (const [index, given] of [one, two].entries()) {
    const { name = ["shop", "other"][index] ?? "", scope = app, stackProps } = given;
    const id = given.stack ?? `Stack${index}`;
    const stack = (scope.node.tryFindChild(id) as Stack | undefined) ?? new Stack(scope, id, stackProps);
    const definition = appNamed(name);
    const place = new Stack(app, `Streams${index}`, stackProps);
    new TidemarkApp(stack, `App${index}`, { ...rightProps(place, definition), ...given.props?.(stack) });
  }
}

const refused = (message: RegExp) =>
  expect.objectContaining({ kind: "fix-configuration", message: expect.stringMatching(message) });

const onTable = (controlTable: string | ITable): Given => ({ props: () => ({ existing: { controlTable } }) });
const inBucket = (bucket: string | IBucket, prefix: string, more: Given = {}): Given => ({
  ...more,
  props: () => ({
    existing: { bucket, ...(typeof bucket === "string" ? {} : { bucketPolicyByHand: true }) },
    checkpoints: { prefix },
  }),
});

/** A bucket of another CDK app, in each stack a construct of its own. */
const imported = (prefix?: string, bucket = "bucket"): Given => ({
  props: (stack) => ({
    existing: {
      bucket: Bucket.fromBucketName(stack, `B${stack.node.children.length}`, bucket),
      bucketPolicyByHand: true,
    },
    ...(prefix === undefined ? {} : { checkpoints: { prefix } }),
  }),
});

const tableIn = (app: App, props: { readonly tableName?: string } = {}): ITable =>
  new Table(new Stack(app, "Tables"), "T", {
    partitionKey: { name: "pk", type: AttributeType.STRING },
    ...props,
  }) as ITable;

describe("one control table for two apps is refused", () => {
  test("by its name, in two stacks", () => {
    expect(() => both(onTable("control"), onTable("control"))).toThrow(
      refused(/^The control table of Stack1\/App1 is the control table of Stack0\/App0: .*\(existing\.controlTable\)/),
    );
  });

  test("by its name and by its ARN", () => {
    const arn = `arn:aws:dynamodb:eu-west-1:${ACCOUNT}:table/control`;
    expect(() =>
      both(
        { ...onTable("control"), stackProps: HERE },
        {
          props: (stack) => ({ existing: { controlTable: Table.fromTableArn(stack, "T", arn) } }),
          stackProps: HERE,
        },
      ),
    ).toThrow(refused(/The control table of/));
  });

  test("as a construct, in its own stack and in another", () => {
    const app = root();
    const table = tableIn(app);
    expect(() => both(onTable(table), onTable(table), app)).toThrow(refused(/The control table of/));
  });

  test.each<[string, (stack: Stack, table: ITable) => ITable]>([
    ["name", (stack, { tableName }) => Table.fromTableName(stack, "Again", tableName)],
    ["ARN", (stack, { tableArn }) => Table.fromTableArn(stack, "Again", tableArn)],
  ])("as a construct, and by the %s that it has as a token", (_, again) => {
    const app = root();
    const table = tableIn(app);
    const second: Given = { props: (stack) => ({ existing: { controlTable: again(stack, table) } }) };
    expect(() => both(onTable(table), second, app)).toThrow(refused(/The control table of/));
  });

  test("as a construct with a name of its own, and by that name", () => {
    const app = root();
    const table = tableIn(app, { tableName: "control" });
    expect(() => both(onTable(table), onTable("control"), app)).toThrow(refused(/The control table of/));
  });

  test("as a table that is made for the first app", () => {
    const app = root();
    const stack = new Stack(app, "One");
    const first = new TidemarkApp(stack, "First", rightProps(stack, appNamed("shop")));
    expect(
      () =>
        new TidemarkApp(stack, "Second", {
          ...rightProps(new Stack(app, "S"), appNamed("other")),
          existing: { controlTable: first.controlTable },
        }),
    ).toThrow(refused(/The control table of One\/Second is the control table of One\/First/));
  });

  test("as a state table", () => {
    expect(() => both(onTable("tbl"), { props: () => ({ existing: { stateTables: { visits: "tbl" } } }) })).toThrow(
      refused(/^The state table of visits of Stack1\/App1 is the control table of Stack0\/App0: .*stateTables\.visits/),
    );
    const states: Given = { props: () => ({ existing: { stateTables: { visits: "tbl" } } }) };
    expect(() => both(states, states)).toThrow(refused(/is the state table of visits of/));
  });
});

describe("a table's name is no other's", () => {
  test("in another account or region", () => {
    both({ ...onTable("control"), stackProps: HERE }, { ...onTable("control"), stackProps: THERE });
    const elsewhere = { env: { ...HERE.env, region: "us-east-1" } };
    both({ ...onTable("control"), stackProps: HERE }, { ...onTable("control"), stackProps: elsewhere });
  });

  test("in another stage that may go elsewhere, or where one says where it goes and the other does not", () => {
    const app = root();
    both(
      { ...onTable("control"), scope: new Stage(app, "Beta") },
      { ...onTable("control"), scope: new Stage(app, "Prod") },
      app,
    );
    both({ ...onTable("control"), stackProps: HERE }, onTable("control"));
  });

  test("in another CDK app", () => {
    both(onTable("control"), {});
    both(onTable("control"), {});
  });
});

describe("places in one bucket", () => {
  test.each([
    ["shop", "shop", /are the same place/],
    ["shop", "shop/eu", /are places of which one is within the other/],
    ["team/shop/eu", "team", /are places of which one is within the other/],
  ])("%s and %s are refused", (one, two, message) => {
    expect(() => both(inBucket("bucket", one), inBucket("bucket", two))).toThrow(refused(message));
    // A bucket's name is one for all accounts.
    expect(() =>
      both(inBucket("bucket", one, { stackProps: HERE }), inBucket("bucket", two, { stackProps: THERE })),
    ).toThrow(refused(message));
  });

  test.each([
    ["shop", "shop2"],
    ["shop", "Shop"],
    ["team/shop", "team/shop-eu"],
  ])("%s and %s are apart", (one, two) => {
    both(imported(one), imported(two));
  });

  test("are refused of a bucket that is given by its name, whose one policy each stack would write", () => {
    expect(() => both(inBucket("bucket", "shop"), inBucket("bucket", "other"))).toThrow(refused(/a bucket has one/));
    expect(() => both(imported("shop"), inBucket("bucket", "other"))).toThrow(refused(/bucketPolicyByHand/));
  });

  test("are refused however the bucket was given", () => {
    const ways: ((stack: Stack) => IBucket)[] = [
      (stack) => Bucket.fromBucketName(stack, "B", "bucket"),
      (stack) => Bucket.fromBucketArn(stack, "B", "arn:aws:s3:::bucket"),
      (stack) => Bucket.fromBucketAttributes(stack, "B", { bucketArn: "arn:aws:s3:::bucket", region: "us-east-1" }),
    ];
    for (const way of ways) {
      expect(() =>
        both(inBucket("bucket", "shop"), {
          props: (stack) => ({
            existing: { bucket: way(stack), bucketPolicyByHand: true },
            checkpoints: { prefix: "shop/eu" },
          }),
        }),
      ).toThrow(refused(/within the other/));
    }
    const app = root();
    const made = new Bucket(new Stack(app, "Buckets"), "B", { bucketName: "bucket" });
    expect(() => both(inBucket(made as IBucket, "shop"), inBucket("bucket", "shop"), app)).toThrow(
      refused(/the same place/),
    );
  });

  test("are refused of a bucket that is imported from a resource of CloudFormation", () => {
    const app = root();
    const stack = new Stack(app, "Raw");
    const bucket = Bucket.fromCfnBucket(new CfnBucket(stack, "B"));
    expect(() => both(inBucket(bucket, "shop"), inBucket(bucket, "shop/eu"), app)).toThrow(refused(/within the other/));
  });

  test("are apart in two buckets, and by default in one that is shared", () => {
    both(inBucket("bucket", "shop"), inBucket("bucket2", "shop"));
    both(imported(), imported());
  });

  test("are the same by default for one app that is deployed twice", () => {
    const shared: Given = { ...imported(), name: "shop" };
    expect(() => both(shared, shared)).toThrow(refused(/under shop\/, and .* under shop\//));
  });
});

describe("one app twice", () => {
  test("is refused in one stack, whatever else is apart", () => {
    expect(() => both({ name: "shop", stack: "S" }, { name: "shop", stack: "S" })).toThrow(
      refused(/^S\/App1 deploys the app shop, which S\/App0 deploys in the same stack\. Put one/),
    );
  });

  test("is right in two stacks, each with its own tables and bucket", () => {
    both({ name: "shop" }, { name: "shop" });
  });
});
