/** One event function of an app, deployed: its code, its state table, and the mapping that feeds it. */
import { Duration } from "aws-cdk-lib";
import type { Metric, MetricOptions } from "aws-cdk-lib/aws-cloudwatch";
import type { ITable } from "aws-cdk-lib/aws-dynamodb";
import { Grant, type GrantOnPrincipalOptions, type IGrantable } from "aws-cdk-lib/aws-iam";
import { CfnEventSourceMapping, type IFunction } from "aws-cdk-lib/aws-lambda";
import type { NodejsFunctionProps } from "aws-cdk-lib/aws-lambda-nodejs";
import { Construct } from "constructs";
import type { Settings } from "../../shared/runtime/settings.ts";
import type { KinesisBinding } from "./kinesis-binding.ts";
import { functionMetric } from "./metrics.ts";
import { eventFunctionStatements, type Ground, stateReadingStatements } from "./permissions.ts";
import { type Surroundings, TidemarkFunction } from "./tidemark-function.ts";

/** @internal what a `TidemarkApp` makes its functions from */
export interface EventFunctionProps {
  readonly app: string;
  /** What its metrics are named by. */
  readonly service: string;
  readonly name: string;
  /** Relative to the project's root. */
  readonly module: string;
  /** What is known when bundling, for esbuild. */
  readonly define: { readonly [expression: string]: string };
  readonly ground: Ground;
  readonly table: ITable;
  readonly source: KinesisBinding;
  readonly settings: Omit<Settings, "app">;
  readonly surroundings: Surroundings;
  readonly lambda: Partial<NodejsFunctionProps> | undefined;
}

/** What `TidemarkApp.function(name)` gives. */
export class EventFunction extends Construct {
  readonly functionName: string;
  /** Of the function's state: one item a key and generation. */
  readonly stateTable: ITable;
  /** The Lambda function, for permissions and settings of its own. */
  readonly lambda: IFunction;
  /** What feeds it. Its properties are the protocol's: one that is changed by hand sets off the alarm on drift. */
  readonly mapping: CfnEventSourceMapping;
  readonly #service: string;
  readonly #ground: Ground;

  /** @internal */
  constructor(scope: Construct, props: EventFunctionProps) {
    const { name, ground, table, source } = props;
    super(scope, name);
    this.functionName = name;
    this.stateTable = table;
    this.#service = props.service;
    this.#ground = ground;
    const handler = new TidemarkFunction(this, "Handler", {
      entry: "event",
      description: `Tidemark: function ${name} of ${props.app}`,
      settings: props.settings,
      environment: { TIDEMARK_FUNCTION: name },
      timeout: Duration.minutes(5),
      define: props.define,
      alias: { "tidemark-app-module": `./${props.module}` },
      surroundings: props.surroundings,
      lambda: props.lambda,
      prop: `functions.${name}.lambda`,
    });
    handler.allow(eventFunctionStatements(ground, { name, table, stream: source.stream }));
    this.lambda = handler;
    this.mapping = new CfnEventSourceMapping(this, "Mapping", {
      functionName: handler.functionName,
      eventSourceArn: source.stream.streamArn,
      batchSize: source.batchSize,
      maximumBatchingWindowInSeconds: source.maxBatchingWindow.toSeconds(),
      // From here on nothing is the user's choice: see docs/decisions/0006-the-mapping-is-the-protocols.md.
      startingPosition: "TRIM_HORIZON",
      functionResponseTypes: ["ReportBatchItemFailures"],
      parallelizationFactor: 1,
      bisectBatchOnFunctionError: false,
      maximumRetryAttempts: -1,
      maximumRecordAgeInSeconds: -1,
    });
    // It is refused while the role may not read the stream.
    if (handler.role !== undefined) this.mapping.node.addDependency(handler.role);
  }

  /** Lets someone read the state of keys: items of the state table, and control's, which says which generation is live. */
  grantReadState(grantee: IGrantable): Grant {
    return grantStatements(grantee, stateReadingStatements(this.#ground, this.stateTable));
  }

  /** Any of the function's metrics. Period 5 minutes, unless options say otherwise. */
  metric(metric: Parameters<typeof functionMetric>[2], options?: MetricOptions): Metric {
    return functionMetric(this.#service, this.functionName, metric, options);
  }

  /** Records that became dead letters. */
  metricDeadLetters(options?: MetricOptions): Metric {
    return this.metric("deadLetters", options);
  }

  /** Records that became dead letters because the schema refused them, or nobody could read them. */
  metricRecordsRefused(options?: MetricOptions): Metric {
    return this.metric("recordsRefused", options);
  }

  /** Ranges of records that the source dropped before they were folded. */
  metricHoles(options?: MetricOptions): Metric {
    return this.metric("holes", options);
  }

  /** Batches that met a stopped split. */
  metricSplitsStopped(options?: MetricOptions): Metric {
    return this.metric("splitsStopped", options);
  }

  /** Records folded, replays apart. */
  metricRecordsFolded(options?: MetricOptions): Metric {
    return this.metric("recordsFolded", options);
  }

  /** Ms that the oldest record not yet folded has waited, as the last checkpoint saw it. */
  metricSplitLag(options?: MetricOptions): Metric {
    return this.metric("splitLag", options);
  }

  /** Ms that the last record of a batch had waited when Lambda read it: AWS's own, and always there. */
  metricIteratorAge(options?: MetricOptions): Metric {
    return this.lambda.metric("IteratorAge", { statistic: "Maximum", period: Duration.minutes(5), ...options });
  }
}

/** Adds statements with conditions to whoever they are for; a `Grant` takes one statement at a time. */
export function grantStatements(grantee: IGrantable, statements: ReturnType<typeof stateReadingStatements>): Grant {
  return statements
    .map((statement) => {
      const options: GrantOnPrincipalOptions = {
        grantee,
        actions: statement.actions,
        resourceArns: statement.resources,
        conditions: statement.conditions,
      };
      return Grant.addToPrincipal(options);
    })
    .reduce((one, other) => one.combine(other));
}
