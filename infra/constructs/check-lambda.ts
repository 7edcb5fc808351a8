/** The checks of `lambda`, what a user says of a function itself. What CDK refuses besides is said of the same prop. */
import { Duration, Token } from "aws-cdk-lib";
import { ApplicationLogLevel, LoggingFormat, RecursiveLoop, SystemLogLevel, Tracing } from "aws-cdk-lib/aws-lambda";
import { type BundlingOptions, type NodejsFunctionProps, OutputFormat } from "aws-cdk-lib/aws-lambda-nodejs";
import { checkOptions, show } from "../../shared/function/check-options.ts";
import { checkNetwork } from "./check-network.ts";
import { checkDuration, checkList, checkMade, checkMember, checkWhole, refuse } from "./check-values.ts";
import { BUNDLING_KINDS, type Kind, LAMBDA_KINDS } from "./lambda-kinds.ts";

/** Refused in `lambda`, each with the way out. */
const FIXED: Readonly<Record<string, string>> = {
  code: "Tidemark bundles the code. Change how by lambda.bundling",
  depsLockFilePath: "All functions are bundled from one root. Set depsLockFilePath of TidemarkApp",
  entry: "The entry is made from module. Leave it out",
  events: "A second source would break the order of splits. Bind it in sources, to a function of its own",
  handler: "The handler is Tidemark's. Leave it out",
  logGroup: "The log group is made with the function. Set logs",
  logRemovalPolicy: "The log group is made with the function. Set logs.removalPolicy",
  logRetention: "The log group is made with the function. Set logs.retention",
  projectRoot: "All functions are bundled from one root. Set projectRoot of TidemarkApp",
  role: "The role is made with exactly what the function needs. Add to it by lambda.initialPolicy",
  runtime: "Tidemark runs on Node 22. Leave it out",
};

const SDK_REASON = "the SDK is bundled in, so that what was tested is what runs";

/** What is not as CDK has it by default, and why nothing else will do. */
const BUNDLED: { readonly [name in keyof BundlingOptions]: readonly [BundlingOptions[name], string] } = {
  bundleAwsSDK: [true, SDK_REASON],
  format: [OutputFormat.ESM, "entries and app module are ES modules, which may await as they load"],
  sourceMap: [true, "errors of a function name lines of its source, which takes the map"],
};

const ENUMS: { readonly [name in keyof NodejsFunctionProps]: readonly [object, string] } = {
  applicationLogLevelV2: [ApplicationLogLevel, "ApplicationLogLevel.INFO"],
  loggingFormat: [LoggingFormat, "LoggingFormat.JSON"],
  recursiveLoop: [RecursiveLoop, "RecursiveLoop.TERMINATE"],
  systemLogLevelV2: [SystemLogLevel, "SystemLogLevel.INFO"],
  tracing: [Tracing, "Tracing.ACTIVE"],
};

const LISTS: { readonly [name in keyof NodejsFunctionProps]: readonly [string, string] } = {
  initialPolicy: ["toStatementJson", "statements. Give [new PolicyStatement(…)]"],
  layers: ["layerVersionArn", "layers. Give [LayerVersion.fromLayerVersionArn(…)]"],
};

/** Folding stops 5 s before the end of an invocation, and a batch needs some time. */
const TIMEOUT_MIN = Duration.seconds(30);
/** Far above what AWS gives any account without being asked (1,000). */
const EXECUTIONS_MAX = 100_000;
const TIMEOUT_MAX = Duration.minutes(15);

export function checkLambda(prop: string, given: unknown, vpcOfApp: unknown): void {
  if (given === undefined) return;
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    refuse(
      prop,
      show(given),
      "it must be an object with props of NodejsFunction. Give { memorySize: 2048 } or the like",
    );
  }
  for (const [name, wayOut] of Object.entries(FIXED)) {
    const value = (given as Readonly<Record<string, unknown>>)[name];
    if (value !== undefined) refuse(`${prop}.${name}`, show(value), `it is not the user's to set. ${wayOut}`);
  }
  checkOptions(prop, given, Object.keys(LAMBDA_KINDS) as (keyof NodejsFunctionProps)[]);
  const { architecture, bundling, environment, memorySize, reservedConcurrentExecutions, timeout } = given;
  const numbers = {
    memorySize: { given: memorySize, unit: "MB", min: 128, max: 10_240 },
    // With 0 it would never be invoked.
    reservedConcurrentExecutions: {
      given: reservedConcurrentExecutions,
      unit: "executions",
      min: 1,
      max: EXECUTIONS_MAX,
    },
  };
  for (const [name, { given: number, ...bounds }] of Object.entries(numbers)) {
    if (number !== undefined && !Token.isUnresolved(number)) checkWhole(`${prop}.${name}`, number, bounds);
  }
  if (timeout !== undefined) checkDuration(`${prop}.timeout`, timeout, { min: TIMEOUT_MIN, max: TIMEOUT_MAX });
  for (const [name, [members, example]] of Object.entries(ENUMS)) {
    checkMember(`${prop}.${name}`, given[name as keyof NodejsFunctionProps], members, example);
  }
  for (const [name, [member, wayOut]] of Object.entries(LISTS)) {
    checkList(`${prop}.${name}`, given[name as keyof NodejsFunctionProps], member, wayOut);
  }
  const architectures = "an architecture of aws-cdk-lib/aws-lambda. Give Architecture.ARM_64 or the like";
  checkMade(`${prop}.architecture`, architecture, "dockerPlatform", architectures);
  checkNetwork(`${prop}.`, given, vpcOfApp);
  checkKinds(prop, given, LAMBDA_KINDS);
  checkVariables(`${prop}.environment`, environment as object | undefined);
  checkBundling(`${prop}.bundling`, bundling);
}

/** What is of the right kind and wrong all the same is CDK's to refuse. */
function checkKinds(prop: string, given: object, kinds: { readonly [name: string]: Kind }): void {
  for (const [name, value] of Object.entries(given)) {
    const kind = kinds[name];
    const is = Array.isArray(value) ? "list" : value === null ? "null" : typeof value;
    if (value === undefined || is === kind) continue;
    refuse(
      `${prop}.${name}`,
      show(value),
      `it must be of the kind that CDK takes there: ${kind}. Give one, or leave it out`,
    );
  }
}

function checkVariables(prop: string, given: object = {}): void {
  for (const [name, value] of Object.entries(given)) {
    if (/^TIDEMARK_/.test(name)) {
      refuse(prop, `with ${name}`, "variables of that name are Tidemark's. Give it another name");
    }
    if (typeof value !== "string") refuse(`${prop}.${name}`, show(value), "it must be a string. Give one");
    if (name !== "NODE_OPTIONS" || Token.isUnresolved(value) || value.includes("--enable-source-maps")) continue;
    refuse(
      `${prop}.${name}`,
      show(value),
      "without source maps errors would name lines of the bundle. Add --enable-source-maps to it",
    );
  }
}

function checkBundling(prop: string, given: unknown): void {
  if (given === undefined) return;
  checkOptions(prop, given, Object.keys(BUNDLING_KINDS) as (keyof BundlingOptions)[]);
  for (const [name, [value, reason]] of Object.entries(BUNDLED)) {
    const own = given[name as keyof BundlingOptions];
    if (own !== undefined && own !== value) refuse(`${prop}.${name}`, show(own), `${reason}. Leave it out`);
  }
  checkKinds(prop, given, BUNDLING_KINDS);
  const { externalModules = [] } = given as BundlingOptions;
  const left = externalModules.find((name) => /^@(?:aws-sdk|smithy)\//.test(name));
  if (left !== undefined) refuse(`${prop}.externalModules`, `with ${left}`, `${SDK_REASON}. Take it out`);
}
