/** One of Tidemark's Lambda functions: how all of them are bundled, run and logged. */
import path from "node:path";
import { type Duration, RemovalPolicy, Stack } from "aws-cdk-lib";
import type { ISecurityGroup, IVpc, SubnetSelection } from "aws-cdk-lib/aws-ec2";
import { Policy, type PolicyStatement, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import type { IKey } from "aws-cdk-lib/aws-kms";
import { Architecture, Runtime, Tracing } from "aws-cdk-lib/aws-lambda";
import {
  type BundlingOptions,
  NodejsFunction,
  type NodejsFunctionProps,
  OutputFormat,
} from "aws-cdk-lib/aws-lambda-nodejs";
import { LogGroup, RetentionDays } from "aws-cdk-lib/aws-logs";
import type { Construct } from "constructs";
import { SETTINGS_VARIABLE, type Settings } from "../../shared/runtime/settings.ts";
import { acknowledge, REASONS, wildcardFinding } from "./acknowledge.ts";
import { checkEnvironment } from "./check-environment.ts";
import { checkEsbuild } from "./check-esbuild.ts";
import { refusedByCdk } from "./check-values.ts";
import { logging, networking, networkingByCode } from "./permissions.ts";

export interface LogOptions {
  /** @default RetentionDays.ONE_MONTH */
  readonly retention?: RetentionDays;
  /** What becomes of the logs when they leave the stack. @default RemovalPolicy.DESTROY */
  readonly removalPolicy?: RemovalPolicy;
  /**
   * Encrypts the log groups. Its policy has to let CloudWatch Logs use it: that is added to a key which this CDK app makes;
   * for one that is there, synthesis warns and says what to add. False: a key that CloudWatch Logs owns.
   * @default - the app's `encryptionKey`
   */
  readonly encryptionKey?: IKey | false;
}

export interface NetworkOptions {
  /**
   * Where the functions run. It must lead to DynamoDB, S3, Kinesis, Lambda and CloudWatch Logs: by gateway and interface
   * endpoints, or a NAT gateway. @default - no network of yours
   */
  readonly vpc?: IVpc;
  /** @default - the subnets of the VPC that have a way out, as CDK chooses */
  readonly vpcSubnets?: SubnetSelection;
  /** @default - one that is made, with every way out open */
  readonly securityGroups?: readonly ISecurityGroup[];
}

/** What the functions of one app have in common. */
export interface Surroundings extends NetworkOptions {
  readonly logs: LogOptions;
  /** One that CloudWatch Logs may use. @default - a key that CloudWatch Logs owns */
  readonly logKey?: IKey | undefined;
  /** @default - the folder of the lock file that is found upwards from where `cdk` runs */
  readonly projectRoot?: string | undefined;
  /** @default - the lock file that is found upwards from where `cdk` runs */
  readonly depsLockFilePath?: string | undefined;
}

export interface TidemarkFunctionProps {
  /** The folder of `functions/` that holds the function's entry. */
  readonly entry: "coordinator" | "event" | "restore" | "snapshot";
  readonly description: string;
  readonly settings: Omit<Settings, "app">;
  /** Besides the settings. */
  readonly environment?: { readonly [variable: string]: string };
  readonly timeout: Duration;
  /** Bundled in. */
  readonly alias?: { readonly [module: string]: string };
  readonly define?: { readonly [expression: string]: string };
  readonly surroundings: Surroundings;
  /** The user's own. */
  readonly lambda: Partial<NodejsFunctionProps> | undefined;
  /** What the user calls that: `functions.visits.lambda`. */
  readonly prop: string;
  readonly defaults?: Partial<NodejsFunctionProps>;
}

/**
 * Packages that are still CommonJS call require() for Node's own modules, or ask where they are. Set on the global object,
 * so that it is in the way of no banner of the user's that declares the same.
 */
const COMMONJS_BANNER = [
  "import{createRequire as tidemarkRequire}from'node:module';",
  "globalThis.require??=tidemarkRequire(import.meta.url);",
  "globalThis.__dirname??=import.meta.dirname;globalThis.__filename??=import.meta.filename;",
].join("");

const packageRoot = path.resolve(import.meta.dirname, "../..");

/** TypeScript in Tidemark's own tree, JavaScript in the package: as this file is. */
const entryOf = (folder: string): string =>
  path.join(packageRoot, "functions", folder, `handler${path.extname(import.meta.filename)}`);

/**
 * A function on Node 22 whose bundle holds everything it runs, the AWS SDK included: what was tested is what runs. Its
 * role is made with no permission but to write its log.
 * @throws TidemarkError `fix-configuration` when esbuild is missing, CDK refuses what the user said of the function, or the
 * settings do not fit a Lambda environment
 */
export class TidemarkFunction extends NodejsFunction {
  constructor(scope: Construct, id: string, props: TidemarkFunctionProps) {
    const { lambda: own = {}, surroundings } = props;
    const stack = Stack.of(scope);
    const logGroup = new LogGroup(scope, `${id}Log`, {
      retention: surroundings.logs.retention ?? RetentionDays.ONE_MONTH,
      removalPolicy: surroundings.logs.removalPolicy ?? RemovalPolicy.DESTROY,
      ...(surroundings.logKey === undefined ? {} : { encryptionKey: surroundings.logKey }),
    });
    const role = new Role(scope, `${id}Role`, {
      assumedBy: new ServicePrincipal("lambda.amazonaws.com"),
      description: props.description,
    });
    const vpc = own.vpc ?? surroundings.vpc;
    const subnets = own.vpcSubnets ?? surroundings.vpcSubnets;
    const securityGroups = own.securityGroups ?? surroundings.securityGroups;
    const environment = {
      NODE_OPTIONS: "--enable-source-maps",
      ...own.environment,
      ...props.environment,
      // Names of tables and buckets are known when the stack is deployed: JSON that can carry them.
      [SETTINGS_VARIABLE]: stack.toJsonString(props.settings),
    };
    const bundling = bundlingOf(props, own.bundling);
    if (stack.bundlingRequired && bundling.forceDockerBundling !== true) checkEsbuild(surroundings.projectRoot);
    const made: NodejsFunctionProps = {
      runtime: Runtime.NODEJS_22_X,
      architecture: Architecture.ARM_64,
      memorySize: 1024,
      timeout: props.timeout,
      description: props.description,
      ...(surroundings.projectRoot === undefined ? {} : { projectRoot: surroundings.projectRoot }),
      ...(surroundings.depsLockFilePath === undefined ? {} : { depsLockFilePath: surroundings.depsLockFilePath }),
      ...props.defaults,
      ...own,
      entry: entryOf(props.entry),
      ...(vpc === undefined ? {} : { vpc }),
      ...(subnets === undefined ? {} : { vpcSubnets: subnets }),
      ...(securityGroups === undefined ? {} : { securityGroups: [...securityGroups] }),
      environment,
      role,
      logGroup,
      bundling,
    };
    try {
      super(scope, id, made);
    } catch (thrown) {
      throw refusedByCdk(props.prop, thrown);
    }
    checkEnvironment(this, environment);
    this.allow([logging(logGroup), ...(vpc === undefined ? [] : [networking()])]);
    if (vpc !== undefined) {
      // A policy of its own: the function waits for the role's other one, which therefore cannot name it.
      new Policy(scope, `${id}NoNetworking`, { roles: [role], statements: [networkingByCode(this.functionArn)] });
    }
    acknowledge(this, "AwsSolutions-L1", REASONS.node22);
    if (own.tracing !== undefined && own.tracing !== Tracing.DISABLED) {
      acknowledge(role, wildcardFinding(this, "*"), REASONS.traces);
    }
  }

  /** Adds statements to the function's role, and says of each wildcard in them why it is there. */
  allow(statements: readonly PolicyStatement[]): void {
    for (const statement of statements) {
      this.addToRolePolicy(statement);
      for (const resource of statement.resources.filter((arn) => arn.endsWith("*"))) {
        const reason = resource === "*" ? REASONS.networkInterfaces : REASONS.objectNames;
        acknowledge(this.role ?? this, wildcardFinding(this, resource), reason);
      }
    }
  }
}

function bundlingOf({ alias = {}, define = {} }: TidemarkFunctionProps, own: BundlingOptions = {}): BundlingOptions {
  const aliases = Object.entries(alias).map(([module, file]) => `${module}=${file}`);
  return {
    format: OutputFormat.ESM,
    target: "node22",
    mainFields: ["module", "main"],
    bundleAwsSDK: true,
    minify: true,
    sourceMap: true,
    sourcesContent: false,
    ...own,
    banner: `${COMMONJS_BANNER}${own.banner ?? ""}`,
    define: { ...own.define, ...define },
    esbuildArgs: { ...own.esbuildArgs, ...(aliases.length === 0 ? {} : { "--alias": aliases }) },
  };
}
