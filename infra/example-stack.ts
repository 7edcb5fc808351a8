/** The example app's stack. With a stream of its own, or one that is there already. */
import { CfnOutput, type RemovalPolicy, Stack, type StackProps } from "aws-cdk-lib";
import { Stream, StreamEncryption, StreamMode } from "aws-cdk-lib/aws-kinesis";
import type { Construct } from "constructs";
import type { AppDefinition } from "../shared/app/define-app.ts";
import { type ExistingResources, fromKinesis, TidemarkApp } from "./constructs/index.ts";

export interface ExampleStackProps extends StackProps {
  readonly app: AppDefinition;
  /** The app module that `app` was loaded from. */
  readonly module: string;
  /** The name of a stream to read. @default - a stream of two shards is made */
  readonly stream?: string;
  /** What becomes of tables, bucket and a stream that is made when the stack is deleted. @default RemovalPolicy.RETAIN */
  readonly removalPolicy?: RemovalPolicy;
  readonly existing?: ExistingResources;
  /** As `CoordinatorOptions` says. @default true */
  readonly exclusive?: boolean;
}

export class ExampleStack extends Stack {
  readonly flights: TidemarkApp;

  constructor(scope: Construct, id: string, props: ExampleStackProps) {
    super(scope, id, props);
    const { app, module, existing, removalPolicy, exclusive } = props;
    const kept = removalPolicy === undefined ? {} : { removalPolicy };
    const { controlTable, stateTables = {}, bucket } = existing ?? {};
    const makesTables =
      controlTable === undefined || app.functions.some((one) => stateTables[one.function.name] === undefined);
    const stream =
      props.stream === undefined
        ? new Stream(this, "Stream", {
            streamMode: StreamMode.PROVISIONED,
            shardCount: 2,
            // Said outright, since CDK's default depends on the region, which checks of a stack cannot see through.
            encryption: StreamEncryption.MANAGED,
            ...kept,
          })
        : Stream.fromStreamArn(
            this,
            "Stream",
            this.formatArn({ service: "kinesis", resource: "stream", resourceName: props.stream }),
          );
    const flights = new TidemarkApp(this, "Flights", {
      app,
      module,
      // Flights share some 200 airports: the larger a batch, the more of them share a write.
      sources: { flights: fromKinesis(stream, { batchSize: 5_000 }) },
      ...(makesTables ? { tables: kept } : {}),
      ...(bucket === undefined ? { checkpoints: kept } : {}),
      ...(existing === undefined ? {} : { existing }),
      ...(exclusive === undefined ? {} : { coordinator: { exclusive } }),
    });
    this.flights = flights;

    const output = (name: string, value: string): CfnOutput => new CfnOutput(this, name, { value });
    output("StreamName", stream.streamName);
    output("ControlTable", flights.controlTable.tableName);
    output("CheckpointBucket", flights.checkpoints.bucket.bucketName);
    output("CheckpointStorage", flights.checkpoints.url);
    output("CoordinatorFunction", flights.coordinator.functionName);
    output("RestoreFunction", flights.restore.functionName);
    output("SnapshotFunction", flights.snapshot.functionName);
    for (const { functionName, lambda, mapping, stateTable } of flights.functions) {
      output(`StateTable-${functionName}`, stateTable.tableName);
      output(`Function-${functionName}`, lambda.functionName);
      output(`Mapping-${functionName}`, mapping.ref);
    }
  }
}
