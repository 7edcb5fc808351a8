/** The example app's stack: its tables, its checkpoint bucket and its functions. */
import { CfnOutput, Stack, type StackProps } from "aws-cdk-lib";
import type { Construct } from "constructs";
import type { AppDefinition } from "../shared/app/define-app.ts";
import { CONTROL_KEY_SCHEMA } from "../shared/control/dynamodb/control-table.ts";
import { STATE_KEY_SCHEMA } from "../shared/state/dynamodb/state-table.ts";
import { CheckpointBucket } from "./constructs/checkpoint-bucket.ts";
import { DurableTable } from "./constructs/durable-table.ts";

export interface ExampleStackProps extends StackProps {
  /** What runs: a state table is made for each of its functions. */
  readonly app: AppDefinition;
}

export class ExampleStack extends Stack {
  constructor(scope: Construct, id: string, props: ExampleStackProps) {
    super(scope, id, props);
    const control = new DurableTable(this, "Control", { keySchema: CONTROL_KEY_SCHEMA });
    const checkpoints = new CheckpointBucket(this, "Checkpoints");
    new CfnOutput(this, "ControlTable", { value: control.tableName });
    new CfnOutput(this, "CheckpointBucket", { value: checkpoints.bucketName });

    for (const { function: definition } of props.app.functions) {
      const state = new DurableTable(this, `State-${definition.name}`, { keySchema: STATE_KEY_SCHEMA });
      new CfnOutput(this, `StateTable-${definition.name}`, { value: state.tableName });
    }
  }
}
