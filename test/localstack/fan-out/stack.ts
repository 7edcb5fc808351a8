/** Three apps in one stack, on one stream: with 1, 4 and 16 snapshot workers. */
import { App, CfnOutput, RemovalPolicy, Stack } from "aws-cdk-lib";
import { Stream } from "aws-cdk-lib/aws-kinesis";
import { fromKinesis, TidemarkApp } from "../../../infra/constructs/index.ts";
import app1 from "./app-1.ts";
import app4 from "./app-4.ts";
import app16 from "./app-16.ts";

const SIGNING_WORKERS = 4;

const stack = new Stack(new App(), "FanOut");
const stream = new Stream(stack, "Events", { shardCount: 1, removalPolicy: RemovalPolicy.DESTROY });
new CfnOutput(stack, "Stream", { value: stream.streamName });
for (const [app, workers] of [
  [app1, 1],
  [app4, 4],
  [app16, 16],
] as const) {
  const { restore, coordinator, snapshot } = new TidemarkApp(stack, `Workers${workers}`, {
    app,
    module: `test/localstack/fan-out/app-${workers}.ts`,
    sources: { events: fromKinesis(stream) },
    snapshot: { workers },
    // One of them signs what it commits.
    checkpoints: { signing: workers === SIGNING_WORKERS },
    tables: { removalPolicy: RemovalPolicy.DESTROY },
    alarms: false,
    dashboard: false,
  });
  new CfnOutput(stack, `Restore${workers}`, { value: restore.functionName });
  new CfnOutput(stack, `Coordinator${workers}`, { value: coordinator.functionName });
  new CfnOutput(stack, `Snapshot${workers}`, { value: snapshot.functionName });
}
