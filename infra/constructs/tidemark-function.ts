/** One of Tidemark's Lambda functions, bundled from its TypeScript entry. */
import { existsSync } from "node:fs";
import path from "node:path";
import type { Duration } from "aws-cdk-lib";
import { Architecture, Runtime } from "aws-cdk-lib/aws-lambda";
import { NodejsFunction, OutputFormat } from "aws-cdk-lib/aws-lambda-nodejs";
import { LogGroup, RetentionDays } from "aws-cdk-lib/aws-logs";
import type { Construct } from "constructs";
import { SETTINGS_VARIABLE } from "../../shared/lambda/settings.ts";

const root = path.resolve(import.meta.dirname, "../..");

export interface TidemarkFunctionProps {
  /** The folder of `functions/` that holds the function's `handler.ts`. */
  readonly folder: string;
  /** What the handler reads as its settings: JSON of `Settings`. */
  readonly settings: string;
  /** How long one invocation may take. */
  readonly timeout: Duration;
}

/**
 * A function on Node 22 whose bundle holds everything it runs, the AWS SDK included: what was tested is what runs.
 * @throws at synth time when `functions/<folder>/handler.ts` does not exist
 */
export class TidemarkFunction extends NodejsFunction {
  constructor(scope: Construct, id: string, props: TidemarkFunctionProps) {
    const entry = path.join(root, "functions", props.folder, "handler.ts");
    if (!existsSync(entry)) {
      throw new Error(
        `The function ${JSON.stringify(props.folder)} has no entry. Write functions/${props.folder}/handler.ts.`,
      );
    }
    super(scope, id, {
      entry,
      projectRoot: root,
      depsLockFilePath: path.join(root, "package-lock.json"),
      runtime: Runtime.NODEJS_22_X,
      architecture: Architecture.ARM_64,
      memorySize: 1024,
      timeout: props.timeout,
      environment: { [SETTINGS_VARIABLE]: props.settings, NODE_OPTIONS: "--enable-source-maps" },
      logGroup: new LogGroup(scope, `${id}Log`, { retention: RetentionDays.ONE_MONTH }),
      bundling: {
        format: OutputFormat.ESM,
        target: "node22",
        mainFields: ["module", "main"],
        bundleAwsSDK: true,
        sourceMap: true,
        // Packages that are still CommonJS call require() for Node's own modules.
        banner: "import{createRequire}from'node:module';const require=createRequire(import.meta.url);",
      },
    });
  }
}
