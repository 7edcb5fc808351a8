/** An app on one page of CloudWatch: what its alarms say, its checkpoints, its functions. */
import { Duration } from "aws-cdk-lib";
import { AlarmStatusWidget, Dashboard, GraphWidget, type IMetric, type IWidget } from "aws-cdk-lib/aws-cloudwatch";
import type { IFunction } from "aws-cdk-lib/aws-lambda";
import type { Construct } from "constructs";
import type { TidemarkAlarms } from "./alarms.ts";
import type { EventFunction } from "./event-function.ts";
import { appMetric, type FunctionMetric } from "./metrics.ts";

const WIDTH = 24;
/** Of one widget, CloudWatch allows no more. */
const ALARMS_MAX = 100;

export function appDashboard(
  scope: Construct,
  id: string,
  {
    app,
    service,
    alarms,
    coordinator,
    functions,
  }: {
    readonly app: string;
    /** What its metrics are named by. */
    readonly service: string;
    readonly alarms: TidemarkAlarms | undefined;
    readonly coordinator: IFunction;
    readonly functions: readonly EventFunction[];
  },
): Dashboard {
  const each = (metric: FunctionMetric): IMetric[] =>
    functions.map((one) => one.metric(metric, { label: one.functionName }));
  const rows: IWidget[][] = [
    alarms === undefined
      ? []
      : [new AlarmStatusWidget({ title: `${app}: alarms`, width: WIDTH, alarms: allOf(alarms).slice(0, ALARMS_MAX) })],
    row(
      graph("Checkpoints", [appMetric(service, "checkpointCompleted"), appMetric(service, "checkpointFailed")]),
      graph("Age of the latest checkpoint (s)", [appMetric(service, "checkpointAge")]),
      graph("How long checkpoints take (ms)", [appMetric(service, "checkpointDuration")]),
      graph("Size of checkpoints (bytes)", [appMetric(service, "checkpointBytes")]),
    ),
    row(
      graph("Records folded", each("recordsFolded")),
      graph("Records replayed", each("replayedRecords")),
      graph(
        "Age of records when read (ms)",
        functions.map((one) => one.metricIteratorAge({ label: one.functionName })),
      ),
      graph("Wait of the oldest record (ms)", each("splitLag")),
    ),
    row(
      graph("Dead letters", [
        ...each("deadLetters"),
        ...functions.map((one) => one.metricRecordsRefused({ label: `${one.functionName}, refused` })),
      ]),
      graph("Holes", each("holes")),
      graph("Batches at stopped splits", each("splitsStopped")),
      graph("Restores, drifted mappings", [appMetric(service, "restoreRunning"), appMetric(service, "mappingDrift")]),
    ),
    row(
      graph("Records a batch", each("batchSize")),
      graph("Keys a batch", each("keys")),
      graph("Keys found in the cache", each("cacheHits")),
      graph("Write units", each("writeUnits")),
    ),
    row(
      graph("Invocations that failed", [
        ...functions.map((one) => one.lambda.metricErrors({ label: one.functionName })),
        coordinator.metricErrors({ label: "coordinator" }),
      ]),
      graph("How long invocations take (ms)", [
        ...functions.map((one) => one.lambda.metricDuration({ label: one.functionName })),
        coordinator.metricDuration({ label: "coordinator" }),
      ]),
    ),
  ];
  return new Dashboard(scope, id, { widgets: rows, defaultInterval: Duration.hours(3) });
}

function allOf(alarms: TidemarkAlarms) {
  const { checkpointFailed, checkpointTooOld, restoreRunning, mappingDrift, functions } = alarms;
  const ofApp = [checkpointFailed, ...(checkpointTooOld === undefined ? [] : [checkpointTooOld]), restoreRunning];
  return [...ofApp, mappingDrift, ...Object.values(functions).flatMap((one) => Object.values(one))];
}

const graph = (title: string, left: IMetric[]) => (width: number) => new GraphWidget({ title, left, width });

function row(...widgets: readonly ((width: number) => GraphWidget)[]): IWidget[] {
  return widgets.map((widget) => widget(WIDTH / widgets.length));
}
