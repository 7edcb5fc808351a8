/**
 * What `lambda` may say, by name and kind: all that CDK's functions take. The compiler refuses a list that lacks one of CDK's
 * names, has one too many, or has one of another kind.
 */
import type { BundlingOptions, NodejsFunctionProps } from "aws-cdk-lib/aws-lambda-nodejs";

export type Kind = "boolean" | "list" | "number" | "object" | "string";

type KindOf<Value> = Value extends boolean
  ? "boolean"
  : Value extends number
    ? "number"
    : Value extends string
      ? "string"
      : Value extends readonly unknown[]
        ? "list"
        : "object";

type Kinds<Options> = { readonly [name in keyof Options]-?: KindOf<Exclude<Options[name], undefined>> };

export const LAMBDA_KINDS: Kinds<NodejsFunctionProps> = {
  adotInstrumentation: "object",
  allowAllIpv6Outbound: "boolean",
  allowAllOutbound: "boolean",
  allowPublicSubnet: "boolean",
  applicationLogLevel: "string",
  applicationLogLevelV2: "string",
  architecture: "object",
  awsSdkConnectionReuse: "boolean",
  bundling: "object",
  code: "object",
  codeSigningConfig: "object",
  currentVersionOptions: "object",
  deadLetterQueue: "object",
  deadLetterQueueEnabled: "boolean",
  deadLetterTopic: "object",
  depsLockFilePath: "string",
  description: "string",
  durableConfig: "object",
  entry: "string",
  environment: "object",
  environmentEncryption: "object",
  ephemeralStorageSize: "object",
  events: "list",
  filesystem: "object",
  functionName: "string",
  handler: "string",
  initialPolicy: "list",
  insightsVersion: "object",
  ipv6AllowedForDualStack: "boolean",
  layers: "list",
  logFormat: "string",
  logGroup: "object",
  logRemovalPolicy: "string",
  logRetention: "number",
  logRetentionRetryOptions: "object",
  logRetentionRole: "object",
  loggingFormat: "string",
  maxEventAge: "object",
  memorySize: "number",
  onFailure: "object",
  onSuccess: "object",
  paramsAndSecrets: "object",
  profiling: "boolean",
  profilingGroup: "object",
  projectRoot: "string",
  recursiveLoop: "string",
  reservedConcurrentExecutions: "number",
  retryAttempts: "number",
  role: "object",
  runtime: "object",
  runtimeManagementMode: "object",
  securityGroups: "list",
  snapStart: "object",
  systemLogLevel: "string",
  systemLogLevelV2: "string",
  tenancyConfig: "object",
  timeout: "object",
  tracing: "string",
  vpc: "object",
  vpcSubnets: "object",
};

export const BUNDLING_KINDS: Kinds<BundlingOptions> = {
  assetHash: "string",
  banner: "string",
  buildArgs: "object",
  bundleAwsSDK: "boolean",
  bundlingFileAccess: "string",
  charset: "string",
  command: "list",
  commandHooks: "object",
  define: "object",
  dockerImage: "object",
  entrypoint: "list",
  environment: "object",
  esbuildArgs: "object",
  esbuildVersion: "string",
  externalModules: "list",
  footer: "string",
  forceDockerBundling: "boolean",
  format: "string",
  inject: "list",
  keepNames: "boolean",
  loader: "object",
  logLevel: "string",
  mainFields: "list",
  metafile: "boolean",
  minify: "boolean",
  network: "string",
  nodeModules: "list",
  platform: "string",
  preCompilation: "boolean",
  securityOpt: "string",
  sourceMap: "boolean",
  sourceMapMode: "string",
  sourcesContent: "boolean",
  target: "string",
  tsconfig: "string",
  user: "string",
  volumes: "list",
  volumesFrom: "list",
  workingDirectory: "string",
};
