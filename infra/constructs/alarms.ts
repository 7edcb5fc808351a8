/** What an app's alarms watch, and when they go off. */
import { Duration } from "aws-cdk-lib";
import {
  Alarm,
  ComparisonOperator,
  type CreateAlarmOptions,
  type IAlarmAction,
  type IMetric,
  MathExpression,
  Stats,
  TreatMissingData,
} from "aws-cdk-lib/aws-cloudwatch";
import { Construct } from "constructs";
import type { EventFunction } from "./event-function.ts";
import { appMetric } from "./metrics.ts";

export interface AlarmOptions {
  /** What an alarm does when it goes off, and when it is over: `new SnsAction(topic)`. @default - alarms are seen in CloudWatch only */
  readonly actions?: readonly IAlarmAction[];
  /**
   * How old the latest completed checkpoint may become. Without an interval in the app module there is no such alarm.
   * @default - three intervals, and at least 15 minutes
   */
  readonly checkpointAge?: Duration;
  /**
   * How many of 100 records of a function may be refused by its schema, or be unreadable, within five minutes: they stop no
   * split, so this alone says that the producers or the schema have changed.
   * @default 1
   */
  readonly refusedPercent?: number;
}

/** @internal */
export interface TidemarkAlarmsProps extends AlarmOptions {
  readonly app: string;
  /** What its metrics are named by. */
  readonly service: string;
  /** Of the checkpoints. */
  readonly intervalMs: number | undefined;
  readonly functions: readonly { readonly deployed: EventFunction; readonly retention: Duration }[];
}

const CHECKPOINT_AGE_MIN = Duration.minutes(15);
const INTERVALS_LATE = 3;

/** Alarms by what they say, for actions of one's own: `flights.alarms.checkpointFailed.addAlarmAction(…)`. */
export class TidemarkAlarms extends Construct {
  /** A checkpoint was aborted: it took longer than its timeout, or an image was gone. */
  readonly checkpointFailed: Alarm;
  /** No checkpoint completed for too long, or the coordinator does not run. Undefined without an interval. */
  readonly checkpointTooOld: Alarm | undefined;
  /** A restore is asked for, runs or is held: events wait. */
  readonly restoreRunning: Alarm;
  /** A mapping is not what was deployed, or was disabled by hand. */
  readonly mappingDrift: Alarm;
  /** By the function's name. */
  readonly functions: { readonly [functionName: string]: FunctionAlarms };

  /** @internal */
  constructor(scope: Construct, id: string, { app, service, intervalMs, functions, ...options }: TidemarkAlarmsProps) {
    super(scope, id);
    const { actions = [], checkpointAge, refusedPercent = 1 } = options;
    this.checkpointFailed = alarm(this, "CheckpointFailed", actions, appMetric(service, "checkpointFailed"), {
      alarmDescription: `${app}: a checkpoint failed. Its log says why; the next one is taken as planned.`,
      ...ONCE,
    });
    this.checkpointTooOld =
      intervalMs === undefined
        ? undefined
        : alarm(this, "CheckpointTooOld", actions, appMetric(service, "checkpointAge"), {
            alarmDescription: `${app}: no checkpoint completed for too long, or the coordinator does not run. Restores would replay more and more.`,
            threshold: (checkpointAge ?? defaultAge(intervalMs)).toSeconds(),
            comparisonOperator: ComparisonOperator.GREATER_THAN_THRESHOLD,
            evaluationPeriods: 2,
            treatMissingData: TreatMissingData.BREACHING,
          });
    this.restoreRunning = alarm(this, "RestoreRunning", actions, appMetric(service, "restoreRunning", MINUTE), {
      alarmDescription: `${app}: a restore is asked for, runs or is held. Events wait until it is over.`,
      ...ONCE,
    });
    this.mappingDrift = alarm(this, "MappingDrift", actions, appMetric(service, "mappingDrift"), {
      alarmDescription: `${app}: an event source mapping is not what was deployed, or is disabled. Set it back, or deploy again.`,
      ...ONCE,
      evaluationPeriods: 2,
    });
    this.functions = Object.fromEntries(
      functions.map(({ deployed, retention }) => [
        deployed.functionName,
        functionAlarms(this, app, { deployed, retention, actions, refusedPercent }),
      ]),
    );
  }
}

export interface FunctionAlarms {
  /** Events wait for half as long as the stream keeps them: what is not read by then is lost soon. */
  readonly iteratorAge: Alarm;
  /**
   * The same, as the coordinator sees it at every checkpoint: also of a mapping that reads nothing any more, which has no
   * iterator whose age could be told. Seen of splits that a batch was ever read from.
   */
  readonly splitLag: Alarm;
  /** A record was given up. */
  readonly deadLetters: Alarm;
  /** Too many of the records were refused by the schema, or could not be read. */
  readonly refusedRate: Alarm;
  /** The source dropped records before they were folded. */
  readonly holes: Alarm;
  /** A split takes no more records: too many failures in a row, or a new version whose schema takes nothing. */
  readonly splitStopped: Alarm;
}

function functionAlarms(
  scope: Construct,
  app: string,
  {
    deployed,
    retention,
    actions,
    refusedPercent,
  }: {
    readonly deployed: EventFunction;
    readonly retention: Duration;
    readonly actions: readonly IAlarmAction[];
    readonly refusedPercent: number;
  },
): FunctionAlarms {
  const name = deployed.functionName;
  const halfOfRetention = {
    alarmDescription: `${app}, ${name}: events wait for half of the stream's retention (${retention.toHumanString()}). They are lost when the other half is over.`,
    threshold: retention.toMilliseconds() / 2,
    comparisonOperator: ComparisonOperator.GREATER_THAN_THRESHOLD,
    evaluationPeriods: 1,
  };
  return {
    iteratorAge: alarm(scope, `IteratorAge-${name}`, actions, deployed.metricIteratorAge(), halfOfRetention),
    splitLag: alarm(scope, `SplitLag-${name}`, actions, deployed.metricSplitLag(), {
      ...halfOfRetention,
      // Between two checkpoints nothing is measured, and what was seen last still holds.
      treatMissingData: TreatMissingData.IGNORE,
    }),
    deadLetters: alarm(scope, `DeadLetters-${name}`, actions, deployed.metricDeadLetters(), {
      alarmDescription: `${app}, ${name}: a record became a dead letter. It stands in the bucket, and checkpoints say that it is missing; it can be put back: see "A poison record" in docs/operations.md.`,
      ...ONCE,
    }),
    refusedRate: alarm(scope, `RefusedRate-${name}`, actions, refusedRate(deployed), {
      alarmDescription: `${app}, ${name}: more than ${refusedPercent} % of the records were refused by the schema, or could not be read. They are dead letters and stop nothing: see "Refused records" in docs/operations.md.`,
      threshold: refusedPercent,
      comparisonOperator: ComparisonOperator.GREATER_THAN_THRESHOLD,
      evaluationPeriods: 1,
    }),
    holes: alarm(scope, `Holes-${name}`, actions, deployed.metricHoles(), {
      alarmDescription: `${app}, ${name}: the source dropped records before they were folded. Checkpoints say which.`,
      ...ONCE,
    }),
    splitStopped: alarm(scope, `SplitStopped-${name}`, actions, deployed.metricSplitsStopped(), {
      alarmDescription: `${app}, ${name}: a split is stopped, since too many records in a row failed, or a new version's schema takes none. Nothing is lost: repair the function.`,
      ...ONCE,
    }),
  };
}

/** In percent of what was delivered. */
const refusedRate = (deployed: EventFunction): MathExpression =>
  new MathExpression({
    expression: "IF(delivered > 0, 100 * FILL(refused, 0) / delivered, 0)",
    label: "refused records, %",
    period: Duration.minutes(5),
    usingMetrics: {
      refused: deployed.metricRecordsRefused(),
      delivered: deployed.metric("batchSize", { statistic: Stats.SUM }),
    },
  });

const MINUTE = { period: Duration.minutes(1), statistic: Stats.MAXIMUM };

const ONCE = {
  threshold: 1,
  comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
  evaluationPeriods: 1,
};

function defaultAge(intervalMs: number): Duration {
  return Duration.millis(Math.max(INTERVALS_LATE * intervalMs, CHECKPOINT_AGE_MIN.toMilliseconds()));
}

function alarm(
  scope: Construct,
  id: string,
  actions: readonly IAlarmAction[],
  metric: IMetric,
  options: CreateAlarmOptions,
): Alarm {
  const made = new Alarm(scope, id, { treatMissingData: TreatMissingData.NOT_BREACHING, ...options, metric });
  if (actions.length > 0) {
    made.addAlarmAction(...actions);
    made.addOkAction(...actions);
  }
  return made;
}
