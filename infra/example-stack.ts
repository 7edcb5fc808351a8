/** The example app's stack: its tables, its checkpoint bucket and its functions. */
import { CfnOutput, Duration, Stack, type StackProps } from "aws-cdk-lib";
import type { Construct } from "constructs";
import { describeApp } from "../shared/app/app-description.ts";
import type { AppDefinition } from "../shared/app/define-app.ts";
import { CONTROL_KEY_SCHEMA } from "../shared/control/dynamodb/control-table.ts";
import type { Settings } from "../shared/lambda/settings.ts";
import { STATE_KEY_SCHEMA } from "../shared/state/dynamodb/state-table.ts";
import { CheckpointBucket } from "./constructs/checkpoint-bucket.ts";
import { DurableTable } from "./constructs/durable-table.ts";
import { TidemarkFunction } from "./constructs/tidemark-function.ts";

export interface ExampleStackProps extends StackProps {
  /** What runs: each of its functions gets a state table and, from `functions/<name>/handler.ts`, a Lambda function. */
  readonly app: AppDefinition;
  /** The Kinesis stream that each source of the app is read from, by the source's name. */
  readonly streams: { readonly [source: string]: string };
}

export class ExampleStack extends Stack {
  constructor(scope: Construct, id: string, props: ExampleStackProps) {
    super(scope, id, props);
    const names = props.app.functions.map((binding) => binding.function.name);
    const control = new DurableTable(this, "Control", { keySchema: CONTROL_KEY_SCHEMA });
    const checkpoints = new CheckpointBucket(this, "Checkpoints");
    const states = names.map((name) => {
      return [name, new DurableTable(this, `State-${name}`, { keySchema: STATE_KEY_SCHEMA })] as const;
    });

    const settings: Settings = {
      app: describeApp(props.app),
      tables: {
        control: control.tableName,
        state: Object.fromEntries(states.map(([name, table]) => [name, table.tableName])),
      },
      storageUrl: `s3://${checkpoints.bucketName}`,
      sources: Object.fromEntries(Object.entries(props.streams).map(([name, stream]) => [name, `kinesis:${stream}`])),
    };
    const deploy = (folder: string, timeout: Duration, tables: readonly DurableTable[]): void => {
      const deployed = new TidemarkFunction(this, `Function-${folder}`, {
        folder,
        timeout,
        // Names of tables and buckets are known when the stack is deployed: JSON that can carry them.
        settings: this.toJsonString(settings),
      });
      for (const table of [control, ...tables]) table.grantReadWriteData(deployed);
      checkpoints.grantReadWrite(deployed);
    };
    for (const [name, table] of states) deploy(name, Duration.minutes(5), [table]);
    deploy(
      "coordinator",
      Duration.minutes(15),
      states.map(([, table]) => table),
    );

    new CfnOutput(this, "ControlTable", { value: control.tableName });
    new CfnOutput(this, "CheckpointBucket", { value: checkpoints.bucketName });
    for (const [name, table] of states) new CfnOutput(this, `StateTable-${name}`, { value: table.tableName });
  }
}
