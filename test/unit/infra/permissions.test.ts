/** Least privilege, role by role: all that each may do, and nothing else. A permission that is added is added here. */

import type { Template } from "aws-cdk-lib/assertions";
import { type IVpc, Vpc } from "aws-cdk-lib/aws-ec2";
import { AccountPrincipal, Role } from "aws-cdk-lib/aws-iam";
import { Stream, StreamEncryption } from "aws-cdk-lib/aws-kinesis";
import { Key } from "aws-cdk-lib/aws-kms";
import { describe, expect, test } from "vitest";
import { fromKinesis } from "../../../infra/constructs/index.ts";
import { deploy, resourcesOf, spelt } from "./deployed-app.ts";

interface Statement {
  readonly Effect: string;
  readonly Action: string | readonly string[];
  readonly Resource: unknown;
  readonly Condition?: unknown;
}

/** With what is made in the stack spelt out, hashes left out. */
function named(condition: unknown): unknown {
  if (typeof condition !== "object" || condition === null) return condition;
  if ("Fn::GetAtt" in condition) return spelt(condition);
  if (Array.isArray(condition)) return condition.map(named);
  return Object.fromEntries(Object.entries(condition).map(([name, member]) => [name, named(member)]));
}

/** Every action of a policy on each of its resources, one line each, sorted: however statements are put together. */
function linesOf(statements: readonly Statement[]): string[] {
  return statements
    .flatMap(({ Effect, Action, Resource, Condition }) =>
      [Action].flat().flatMap((action) =>
        [Resource].flat().map((resource) => {
          const condition =
            Condition === undefined ? "" : ` if ${JSON.stringify(named(Condition)).replaceAll('"', "")}`;
          return `${Effect === "Allow" ? "" : "DENY "}${action} ${spelt(resource)}${condition}`;
        }),
      ),
    )
    .sort();
}

function policyOf(template: Template, role: string): string[] {
  const policies = resourcesOf(template, "AWS::IAM::Policy").filter(([, { Properties }]) =>
    Properties.Roles.some((one: unknown) => spelt(one) === `<${role}>`),
  );
  return policies.flatMap(([, { Properties }]) => linesOf(Properties.PolicyDocument.Statement)).sort();
}

const listing = (...prefixes: readonly string[]) =>
  `s3:ListBucket <AppCheckpoints.Arn> if {StringLikeIfExists:{s3:prefix:[${["shop/claim.json", ...prefixes].join(",")}]}}`;

const LOOKING = [
  "kinesis:DescribeStreamSummary <Clicks.Arn>",
  "kinesis:GetRecords <Clicks.Arn>",
  "kinesis:GetShardIterator <Clicks.Arn>",
  "kinesis:ListShards <Clicks.Arn>",
];

/** Items of some partitions alone. */
const items = (action: string, table: string, ...partitions: readonly string[]) =>
  `dynamodb:${action} <${table}.Arn> if {ForAllValues:StringLike:{dynamodb:LeadingKeys:[${partitions.join(",")}]},Null:{dynamodb:LeadingKeys:false}}`;
const PROGRESS = ["SNAPSHOT#*", "LOAD#*"];

function logs(id: string): string[] {
  return [`logs:CreateLogStream <${id}Log.Arn>`, `logs:PutLogEvents <${id}Log.Arn>`];
}

function eventFunction(name: string): string[] {
  return [
    items("GetItem", "AppControl", "CONTROL", "STORAGE", `SPLIT#${name}`, `HOLES#${name}#*`),
    items("UpdateItem", "AppControl", `SPLIT#${name}`, `HOLES#${name}#*`),
    `dynamodb:BatchGetItem <AppState${name}.Arn>`,
    `dynamodb:DeleteItem <AppState${name}.Arn>`,
    `dynamodb:GetItem <AppState${name}.Arn>`,
    `dynamodb:PutItem <AppState${name}.Arn>`,
    "s3:GetObject <AppCheckpoints.Arn>/shop/claim.json",
    `s3:GetObject <AppCheckpoints.Arn>/shop/dead-letters/${name}/*`,
    `s3:PutObject <AppCheckpoints.Arn>/shop/dead-letters/${name}/*`,
    `s3:GetObject <AppCheckpoints.Arn>/shop/redrive/${name}/*`,
    listing(`shop/dead-letters/${name}/*`, `shop/redrive/${name}/*`),
    ...LOOKING,
    "kinesis:DescribeStream <Clicks.Arn>",
    ...logs(`AppFunction${name}Handler`),
  ];
}

const BOTH = ["AppStatevisits", "AppStateorders"];
const onBoth = (...actions: readonly string[]) =>
  BOTH.flatMap((table) => actions.map((action) => `dynamodb:${action} <${table}.Arn>`));

const READ_OBJECTS = [
  "s3:GetObject <AppCheckpoints.Arn>/shop/claim.json",
  "s3:GetObject <AppCheckpoints.Arn>/shop/chk-*",
  "s3:GetObject <AppCheckpoints.Arn>/shop/generations/*",
  "s3:GetObject <AppCheckpoints.Arn>/shop/redrive/*",
];

const MAPPING = (name: string) =>
  `arn:aws:lambda:<AWS::Region>:<AWS::AccountId>:event-source-mapping:<AppFunction${name}Mapping>`;

const ROLES: Readonly<Record<string, readonly string[]>> = {
  AppFunctionvisitsHandlerRole: eventFunction("visits"),
  AppFunctionordersHandlerRole: eventFunction("orders"),
  AppSnapshotRole: [
    items("GetItem", "AppControl", "CONTROL", "STORAGE", ...PROGRESS),
    items("UpdateItem", "AppControl", ...PROGRESS, "CHECK#*"),
    ...onBoth("BatchGetItem", "PutItem", "Scan"),
    ...BOTH.map((table) => items("GetItem", table, "#tidemark")),
    "s3:GetObject <AppCheckpoints.Arn>/shop/claim.json",
    "s3:AbortMultipartUpload <AppCheckpoints.Arn>/shop/chk-*",
    "s3:GetObject <AppCheckpoints.Arn>/shop/chk-*",
    "s3:PutObject <AppCheckpoints.Arn>/shop/chk-*",
    listing("shop/chk-*"),
    ...logs("AppSnapshot"),
  ],
  AppCoordinatorRole: [
    ...["GetItem", "Query", "UpdateItem"].map((action) => `dynamodb:${action} <AppControl.Arn>`),
    items("DeleteItem", "AppControl", ...PROGRESS, "CHECK#*"),
    ...onBoth("BatchGetItem", "BatchWriteItem", "DeleteItem", "Scan"),
    ...BOTH.flatMap((table) => ["GetItem", "UpdateItem"].map((action) => items(action, table, "#tidemark"))),
    "s3:PutObject <AppCheckpoints.Arn>/shop/claim.json",
    ...READ_OBJECTS,
    "s3:GetObject <AppCheckpoints.Arn>/shop/dead-letters/*",
    "s3:PutObject <AppCheckpoints.Arn>/shop/redrive/*",
    listing("shop/chk-*", "shop/dead-letters/*", "shop/generations/*", "shop/redrive/*"),
    "s3:DeleteObject <AppCheckpoints.Arn>/shop/chk-*",
    "s3:PutObject <AppCheckpoints.Arn>/shop/chk-*",
    "s3:PutObject <AppCheckpoints.Arn>/shop/generations/*",
    ...LOOKING,
    "lambda:InvokeFunction <AppFunctionvisitsHandler.Arn>",
    "lambda:InvokeFunction <AppFunctionordersHandler.Arn>",
    "lambda:InvokeFunction <AppSnapshot.Arn>",
    ...["visits", "orders"].flatMap((name) => [
      `lambda:GetEventSourceMapping ${MAPPING(name)}`,
      // Only while it feeds its own function, and for no other.
      `lambda:UpdateEventSourceMapping ${MAPPING(name)} if {ArnEquals:{lambda:FunctionArn:<AppFunction${name}Handler.Arn>}}`,
    ]),
    ...logs("AppCoordinator"),
  ],
  AppRestoreRole: [
    ...["GetItem", "Query"].map((action) => `dynamodb:${action} <AppControl.Arn>`),
    items("UpdateItem", "AppControl", "CONTROL"),
    items("DeleteItem", "AppControl", "CHECK#*"),
    ...READ_OBJECTS,
    listing("shop/chk-*", "shop/generations/*", "shop/redrive/*"),
    ...LOOKING,
    "lambda:InvokeFunction <AppCoordinator.Arn>",
    ...logs("AppRestore"),
  ],
};

const plain = deploy();
const partition = (lines: readonly string[]) => lines.map((line) => line.replace("<AWS::Partition>", "aws"));

describe("the roles", () => {
  test("are those of the app's functions, the workers, the coordinator and the restore function", () => {
    const roles = resourcesOf(plain.template, "AWS::IAM::Role").map(([id]) => spelt({ Ref: id }).slice(1, -1));
    expect(roles.sort()).toEqual(Object.keys(ROLES).sort());
  });

  test.each(Object.entries(ROLES))("%s may do exactly what its function does", (role, expected) => {
    expect(partition(policyOf(plain.template, role))).toEqual([...expected].sort());
  });

  test("have no policy besides, neither AWS's nor inline", () => {
    for (const [, { Properties }] of resourcesOf(plain.template, "AWS::IAM::Role")) {
      expect(Properties.ManagedPolicyArns).toBeUndefined();
      expect(Properties.Policies).toBeUndefined();
    }
  });

  test("can be assumed by Lambda alone", () => {
    for (const [, { Properties }] of resourcesOf(plain.template, "AWS::IAM::Role")) {
      expect(Properties.AssumeRolePolicyDocument.Statement).toEqual([
        { Action: "sts:AssumeRole", Effect: "Allow", Principal: { Service: "lambda.amazonaws.com" } },
      ]);
    }
  });
});

test("the bucket denies no role the writes that the role has", () => {
  const denied = resourcesOf(plain.template, "AWS::S3::BucketPolicy").flatMap(([, { Properties }]) =>
    linesOf(Properties.PolicyDocument.Statement),
  );
  const writes = Object.entries(ROLES).flatMap(([role, lines]) =>
    lines.flatMap((line) => {
      const [, write] = /^(s3:(?:Put|Delete)Object <AppCheckpoints.Arn>\/shop\/[a-z.]+-?)/.exec(line) ?? [];
      return write === undefined ? [] : { role, write };
    }),
  );
  expect(writes).toHaveLength(8);
  for (const { role, write } of writes) {
    const ofWrite = denied.filter((line) => line.startsWith(`DENY ${write}`));
    expect(ofWrite, write).toEqual([expect.stringMatching(`ArnNotEquals.*<${role}\\.Arn>`)]);
  }
});

describe("a key of one's own", () => {
  const { template } = deploy((stack) => {
    const stream = new Stream(stack, "Secret", {
      encryption: StreamEncryption.KMS,
      encryptionKey: new Key(stack, "StreamKey"),
    });
    return { encryptionKey: new Key(stack, "Key"), sources: { clicks: fromKinesis(stream) } };
  });
  const added = (role: string) => policyOf(template, role).filter((line) => line.startsWith("kms:"));
  const via = (...services: readonly string[]) => {
    const names = services.map((service) => `{Fn::Join:[,[${service}.,{Ref:AWS::Region},.,{Ref:AWS::URLSuffix}]]}`);
    return `{StringEquals:{kms:ViaService:[${names.join(",")}]}}`;
  };
  const ofStores = [
    "Decrypt",
    "DescribeKey",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "ReEncryptFrom",
    "ReEncryptTo",
  ].map((action) => `kms:${action} <Key.Arn> if ${via("dynamodb", "s3")}`);
  const ofStream = `kms:Decrypt <StreamKey.Arn> if ${via("kinesis")}`;

  test.each([
    ["AppFunctionvisitsHandlerRole", [...ofStores, ofStream]],
    ["AppSnapshotRole", ofStores],
    ["AppCoordinatorRole", [...ofStores, ofStream]],
    ["AppRestoreRole", [...ofStores, ofStream]],
  ])("is used by %s through the services that hold what it encrypts, and no other way", (role, expected) => {
    expect(added(role)).toEqual([...expected].sort());
  });
});

describe("a key that checkpoints are signed by", () => {
  const added = (template: Template, role: string) =>
    policyOf(template, role).filter((line) => line.startsWith("kms:"));

  test("lets the coordinator sign and verify, the restore function verify, and nobody else do either", () => {
    const { template } = deploy(() => ({ checkpoints: { signing: true } }));
    expect(added(template, "AppCoordinatorRole")).toEqual([
      "kms:GenerateMac <AppSigningKey.Arn>",
      "kms:VerifyMac <AppSigningKey.Arn>",
    ]);
    expect(added(template, "AppRestoreRole")).toEqual(["kms:VerifyMac <AppSigningKey.Arn>"]);
    for (const role of ["AppFunctionvisitsHandlerRole", "AppFunctionordersHandlerRole", "AppSnapshotRole"]) {
      expect(added(template, role)).toEqual([]);
    }
    template.hasResource("AWS::KMS::Key", {
      Properties: { KeySpec: "HMAC_256", KeyUsage: "GENERATE_VERIFY_MAC" },
      DeletionPolicy: "Retain",
    });
  });

  test("is one of the user's where they give one, and is told to coordinator and restore function alone", () => {
    const { template } = deploy((stack) => ({ checkpoints: { signing: new Key(stack, "Own") } }));
    expect(added(template, "AppRestoreRole")).toEqual(["kms:VerifyMac <Own.Arn>"]);
    const told = resourcesOf(template, "AWS::Lambda::Function")
      .filter(([, { Properties }]) => JSON.stringify(Properties.Environment).includes("signingKey"))
      .map(([id]) => spelt({ Ref: id }));
    expect(told.sort()).toEqual(["<AppCoordinator>", "<AppRestore>"]);
  });

  test("is neither made nor told where nothing is signed", () => {
    for (const { template } of [plain, deploy(() => ({ checkpoints: { signing: false } }))]) {
      template.resourceCountIs("AWS::KMS::Key", 0);
      expect(JSON.stringify(template.toJSON())).not.toContain("signingKey");
    }
  });
});

describe("a network of one's own", () => {
  const { template } = deploy((stack) => ({ vpc: new Vpc(stack, "Vpc") as IVpc }));

  test.each(Object.keys(ROLES))(
    "lets Lambda make and remove interfaces with %s, not what runs in the function",
    (role) => {
      const actions = [
        "ec2:AssignPrivateIpAddresses *",
        "ec2:CreateNetworkInterface *",
        "ec2:DeleteNetworkInterface *",
        "ec2:DescribeNetworkInterfaces *",
        "ec2:DescribeSubnets *",
        "ec2:UnassignPrivateIpAddresses *",
      ];
      const added = partition(policyOf(template, role)).filter((line) => !ROLES[role]?.includes(line));
      const fromCode = `if {ArnEquals:{lambda:SourceFunctionArn:<${role.replace(/Role$/, "")}.Arn>}}`;
      expect(added).toEqual([...actions.map((line) => `DENY ${line} ${fromCode}`), ...actions]);
    },
  );

  test("has the denial in a policy that the function does not wait for, which it names", () => {
    for (const [, resource] of resourcesOf(template, "AWS::Lambda::Function")) {
      const { DependsOn = [] } = resource as { readonly DependsOn?: readonly string[] };
      expect(DependsOn.filter((id) => id.includes("NoNetworking"))).toEqual([]);
    }
  });
});

describe("what is granted to others", () => {
  const granted = (grant: (role: Role, deployed: ReturnType<typeof deploy>) => void): string[] => {
    const deployed = deploy((stack) => ({ encryptionKey: new Key(stack, "Key") }));
    const role = new Role(deployed.stack, "Other", { assumedBy: new AccountPrincipal("111111111111") });
    grant(role, deployed);
    return policyOf(deployed.template, "Other");
  };

  test("grantRestore: to invoke the restore function", () => {
    expect(granted((role, { app }) => app.grantRestore(role))).toEqual(["lambda:InvokeFunction <AppRestore.Arn>"]);
  });

  test("grantReadState: to read control's items and those of the one function", () => {
    const lines = granted((role, { app }) => app.function("visits").grantReadState(role));
    expect(lines.map((line) => line.split(" if ")[0])).toEqual([
      "dynamodb:BatchGetItem <AppStatevisits.Arn>",
      "dynamodb:GetItem <AppControl.Arn>",
      "dynamodb:GetItem <AppStatevisits.Arn>",
      "kms:Decrypt <Key.Arn>",
    ]);
    expect(lines).toContain(items("GetItem", "AppControl", "CONTROL"));
  });

  test("nothing: the restore function has no URL, and no resource policy but the coordinator's lets anyone in", () => {
    plain.template.resourceCountIs("AWS::Lambda::Url", 0);
    const permissions = resourcesOf(plain.template, "AWS::Lambda::Permission");
    expect(permissions.map(([, { Properties }]) => [spelt(Properties.FunctionName), Properties.Principal])).toEqual([
      ["<AppCoordinator.Arn>", "events.amazonaws.com"],
    ]);
    expect(spelt(permissions[0]?.[1].Properties.SourceArn)).toBe("<AppEveryMinute.Arn>");
  });
});

test("the invocations that are allowed form no circle: no function invokes itself, or whoever invokes it", () => {
  const invokes = new Map(
    Object.entries(ROLES).map(([role, lines]) => [
      role.replace(/Role$/, ""),
      lines.flatMap((line) => /^lambda:InvokeFunction <(.+)\.Arn>$/.exec(line)?.[1] ?? []),
    ]),
  );
  const reach = (from: string, seen: readonly string[]): void => {
    expect(seen).not.toContain(from);
    for (const next of invokes.get(from) ?? []) reach(next, [...seen, from]);
  };
  for (const from of invokes.keys()) reach(from, []);
  expect(invokes.get("AppRestore")).toEqual(["AppCoordinator"]);
});
