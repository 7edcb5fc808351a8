/** A Tidemark app on AWS. */
import { Duration, Names, Stack, Token } from "aws-cdk-lib";
import type { Dashboard, Metric, MetricOptions } from "aws-cdk-lib/aws-cloudwatch";
import { type ITable, Table } from "aws-cdk-lib/aws-dynamodb";
import { Rule, Schedule } from "aws-cdk-lib/aws-events";
import { LambdaFunction } from "aws-cdk-lib/aws-events-targets";
import type { Grant, IGrantable } from "aws-cdk-lib/aws-iam";
import type { IStream } from "aws-cdk-lib/aws-kinesis";
import type { IFunction } from "aws-cdk-lib/aws-lambda";
import type { IBucket } from "aws-cdk-lib/aws-s3";
import { Construct } from "constructs";
import { describeApp } from "../../shared/app/app-description.ts";
import { CONTROL_KEY_SCHEMA } from "../../shared/control/dynamodb/control-table.ts";
import type { KeySchema } from "../../shared/dynamodb/create-table.ts";
import { TidemarkError } from "../../shared/errors.ts";
import { nearestName } from "../../shared/function/nearest-name.ts";
import { bundleDefines, type DeployedMapping, type Settings } from "../../shared/runtime/settings.ts";
import { STATE_KEY_SCHEMA } from "../../shared/state/dynamodb/state-table.ts";
import { TidemarkAlarms } from "./alarms.ts";
import { bundledModule } from "./bundled-module.ts";
import { checkApart, type UsedResource } from "./check-apart.ts";
import { checkAppProps } from "./check-app-props.ts";
import type { Checkpoints } from "./checkpoint-bucket.ts";
import { appDashboard } from "./dashboard.ts";
import { DurableTable } from "./durable-table.ts";
import { EventFunction, grantStatements } from "./event-function.ts";
import type { KinesisBinding } from "./kinesis-binding.ts";
import { logKey } from "./log-key.ts";
import { type AppMetric, appMetric } from "./metrics.ts";
import { openCheckpoints, protectCheckpoints } from "./open-checkpoints.ts";
import {
  coordinatorStatements,
  type Ground,
  invocation,
  restoreStatements,
  snapshotStatements,
} from "./permissions.ts";
import { signingKey } from "./signing-key.ts";
import type { TidemarkAppProps } from "./tidemark-app-props.ts";
import { type Surroundings, TidemarkFunction } from "./tidemark-function.ts";

const SNAPSHOT_WORKERS = 4;

/** It stands in the environment of every function, which holds 4 KB. */
const SERVICE_CHARACTERS_MAX = 64;

/**
 * Deploys an app: a state table and a Lambda function for each of its functions, fed by the stream that its source is
 * bound to; the control table and the bucket for checkpoints; the coordinator on a rule of one minute, snapshot workers
 * and the restore function; alarms and a dashboard. What holds data outlives the stack.
 *
 * The coordinator's rule is always there, since it also carries on restores; without an interval in the app module it
 * triggers no checkpoints. Who invokes whom: rule → coordinator → snapshot workers, event functions; restore → coordinator.
 *
 * Several apps may stand in one stack, and one app in several stacks of an account: logs and metrics are told apart by
 * {@link service}. No two of them may share a table or a place in a bucket, which is refused here where it shows. Where it
 * does not, the coordinator's first run claims tables and place for the app (an item in each table, `claim.json` in the
 * bucket) and every other function holds the claims against its own settings before its first piece of work; one that is
 * another's is an error, and nothing is done. What to do then: docs/operations.md.
 *
 * @throws TidemarkError `fix-configuration` at synthesis for every prop that is wrong, naming it and what to set
 */
export class TidemarkApp extends Construct {
  /** The bucket, and where in it this app's checkpoints and dead letters stand. */
  readonly checkpoints: Checkpoints;
  readonly controlTable: ITable;
  readonly coordinator: IFunction;
  /** Has neither URL nor resource policy: {@link grantRestore} permits it. */
  readonly restore: IFunction;
  readonly snapshot: IFunction;
  /** Undefined when the props say `alarms: false`. */
  readonly alarms: TidemarkAlarms | undefined;
  /** Undefined when the props say `dashboard: false`. */
  readonly dashboard: Dashboard | undefined;
  /** What its logs and metrics are named by, made of the names of the stack and this construct: `ProdFlights1A2B3C4D`. */
  readonly service: string;
  readonly #name: string;
  readonly #functions: ReadonlyMap<string, EventFunction>;

  constructor(scope: Construct, id: string, props: TidemarkAppProps) {
    checkAppProps(props);
    super(scope, id);
    const { app, existing = {}, encryptionKey, tables = {}, sources } = props;
    const names = app.functions.map((binding) => binding.function.name);
    this.#name = app.name;
    this.service = Names.uniqueResourceName(this, { maxLength: SERVICE_CHARACTERS_MAX });
    const table = (place: Construct, name: string, keySchema: KeySchema, own: string | ITable | undefined): ITable => {
      if (own === undefined) return new DurableTable(place, name, { ...tables, keySchema, encryptionKey }) as ITable;
      return typeof own === "string" ? Table.fromTableName(place, name, own) : own;
    };
    this.controlTable = table(this, "Control", CONTROL_KEY_SCHEMA, existing.controlTable);
    this.checkpoints = openCheckpoints(this, {
      ...props.checkpoints,
      prefix: props.checkpoints?.prefix ?? app.name,
      encryptionKey,
      existing: existing.bucket,
    });
    const ground: Ground = {
      ...{ control: this.controlTable, checkpoints: this.checkpoints, encryptionKey },
      signingKey: signingKey(this, app.name, props.checkpoints?.signing),
    };
    const stateFolder = new Construct(this, "State");
    const states = new Map(
      names.map((name) => [name, table(stateFolder, name, STATE_KEY_SCHEMA, existing.stateTables?.[name])]),
    );
    checkApart({
      scope: this,
      name: app.name,
      uses: [
        used("The control table", "existing.controlTable", this.controlTable),
        ...[...states].map(([name, one]) => used(`The state table of ${name}`, `existing.stateTables.${name}`, one)),
        {
          ...{ what: "The bucket", prop: "existing.bucket", resource: this.checkpoints.bucket },
          ...{ name: this.checkpoints.bucket.bucketName, root: this.checkpoints.root },
          ownPolicy: bucketIs(existing.bucket) === "taken-over",
        },
      ],
    });
    const bindings = new Map(Object.entries(sources));
    for (const [source, { stream }] of bindings) checkPlace(this, source, stream);
    const streams = [...new Set([...bindings.values()].map(({ stream }) => stream))];
    const logs = props.logs ?? {};
    const surroundings: Surroundings = { ...props, logs, logKey: logKey(this, logs, encryptionKey) };
    const settings = (of: readonly string[], deployment?: Settings["deployment"]): Omit<Settings, "app"> => ({
      service: this.service,
      tables: {
        control: this.controlTable.tableName,
        state: Object.fromEntries(of.map((name) => [name, states.get(name)?.tableName ?? ""])),
      },
      storageUrl: this.checkpoints.url,
      sources: Object.fromEntries([...bindings].map(([name, { stream }]) => [name, `kinesis:${stream.streamName}`])),
      ...(deployment === undefined ? {} : { deployment }),
      ...(deployment === undefined || ground.signingKey === undefined ? {} : { signingKey: ground.signingKey.keyArn }),
      ...(props.logKeys === true ? { logKeys: true } : {}),
    });
    const define = bundleDefines(describeApp(app));

    const functionsFolder = new Construct(this, "Function");
    const module = bundledModule(props);
    this.#functions = new Map(
      app.functions.map(({ function: { name }, source }) => {
        const deployed = new EventFunction(functionsFolder, {
          ...{ app: app.name, service: this.service, name, module, define, ground, surroundings },
          table: states.get(name) as ITable,
          source: bindings.get(source) as KinesisBinding,
          settings: settings([name]),
          lambda: props.functions?.[name]?.lambda,
        });
        return [name, deployed];
      }),
    );
    const functions = [...this.#functions.values()];
    const allStates = [...states.values()];

    const snapshot = new TidemarkFunction(this, "Snapshot", {
      entry: "snapshot",
      description: `Tidemark: writes and loads checkpoints of ${app.name}`,
      settings: settings(names),
      timeout: Duration.minutes(5),
      ...{ define, surroundings, lambda: props.snapshot?.lambda, prop: "snapshot.lambda" },
    });
    snapshot.allow(snapshotStatements(ground, allStates));
    this.snapshot = snapshot;

    const deployment = {
      snapshot: snapshot.functionName,
      snapshotWorkers: props.snapshot?.workers ?? SNAPSHOT_WORKERS,
    };
    const coordinator = new TidemarkFunction(this, "Coordinator", {
      entry: "coordinator",
      description: `Tidemark: coordinates checkpoints and restores of ${app.name}`,
      settings: settings(names, {
        ...deployment,
        functions: Object.fromEntries(functions.map((one) => [one.functionName, one.lambda.functionName])),
        mappings: Object.fromEntries(functions.map((one) => [one.functionName, mappingOf(one)])),
      }),
      timeout: Duration.minutes(5),
      ...{ define, surroundings, lambda: props.coordinator?.lambda, prop: "coordinator.lambda" },
      // The rule comes again in a minute.
      defaults: {
        retryAttempts: 0,
        maxEventAge: Duration.minutes(1),
        ...((props.coordinator?.exclusive ?? true) ? { reservedConcurrentExecutions: 1 } : {}),
      },
    });
    const invoked = {
      functions: [...functions.map((one) => one.lambda), snapshot],
      mappings: functions.map((one) => ({ id: one.mapping.ref, of: one.lambda })),
    };
    coordinator.allow(coordinatorStatements(Stack.of(this), ground, { states: allStates, streams }, invoked));
    this.coordinator = coordinator;
    new Rule(this, "EveryMinute", {
      description: `Tidemark: checkpoints and restores of ${app.name}`,
      schedule: Schedule.rate(Duration.minutes(1)),
      targets: [new LambdaFunction(coordinator, { retryAttempts: 0 })],
    });

    const restore = new TidemarkFunction(this, "Restore", {
      entry: "restore",
      description: `Tidemark: restores ${app.name} from a checkpoint`,
      // It has the coordinator do everything, and need not know whom that invokes.
      settings: settings([], { ...deployment, functions: {}, mappings: {}, coordinator: coordinator.functionName }),
      timeout: Duration.minutes(5),
      ...{ define, surroundings, lambda: props.restore?.lambda, prop: "restore.lambda" },
    });
    restore.allow(restoreStatements(ground, streams, coordinator));
    this.restore = restore;

    protectCheckpoints(this, this.checkpoints, {
      bucketIs: bucketIs(existing.bucket),
      policyByHand: existing.bucketPolicyByHand ?? false,
      writers: rolesOf([coordinator, snapshot]),
      letterWriters: rolesOf(functions.map((one) => one.lambda)),
      roles: rolesOf([...functions.map((one) => one.lambda), coordinator, snapshot, restore]),
    });
    const { alarms: watched = {} } = props;
    this.alarms =
      watched === false
        ? undefined
        : new TidemarkAlarms(this, "Alarm", {
            ...watched,
            app: app.name,
            service: this.service,
            intervalMs: app.checkpointing?.intervalMs,
            functions: app.functions.map(({ function: { name }, source }) => ({
              deployed: this.function(name),
              retention: (bindings.get(source) as KinesisBinding).retention,
            })),
          });
    this.dashboard =
      props.dashboard === false
        ? undefined
        : appDashboard(this, "Dashboard", {
            app: app.name,
            service: this.service,
            alarms: this.alarms,
            coordinator,
            functions,
          });
  }

  /**
   * A function of the app, by its name in the app module.
   * @throws TidemarkError `fix-configuration` when the app has no such function
   */
  function(name: string): EventFunction {
    const found = this.#functions.get(name);
    if (found !== undefined) return found;
    const names = [...this.#functions.keys()];
    const nearest = nearestName(name, names);
    throw new TidemarkError(
      "fix-configuration",
      `The app ${this.#name} has no function ${JSON.stringify(name)}; its functions are ${names.join(", ")}. ${nearest === undefined ? "Give one of them." : `Did you mean ${nearest}?`}`,
    );
  }

  /** The functions of the app, in its order. */
  get functions(): readonly EventFunction[] {
    return [...this.#functions.values()];
  }

  /**
   * Lets someone restore the app, which is to overwrite its state: to invoke the restore function, and nothing else.
   * Asking for a restore's status takes the same permission.
   */
  grantRestore(grantee: IGrantable): Grant {
    return grantStatements(grantee, [invocation([this.restore])]);
  }

  /** Any of the app's metrics. Period 5 minutes, unless options say otherwise. */
  metric(metric: AppMetric, options?: MetricOptions): Metric {
    return appMetric(this.service, metric, options);
  }

  /** Seconds since the latest checkpoint completed; while the app module sets an interval. */
  metricCheckpointAge(options?: MetricOptions): Metric {
    return this.metric("checkpointAge", options);
  }

  /** Checkpoints that completed. */
  metricCheckpointCompleted(options?: MetricOptions): Metric {
    return this.metric("checkpointCompleted", options);
  }

  /** Checkpoints that were aborted, but for those that a restore interrupted. */
  metricCheckpointFailed(options?: MetricOptions): Metric {
    return this.metric("checkpointFailed", options);
  }

  /** Ms from a checkpoint's trigger to its completion. */
  metricCheckpointDuration(options?: MetricOptions): Metric {
    return this.metric("checkpointDuration", options);
  }

  /** Bytes of a checkpoint, as stored. */
  metricCheckpointBytes(options?: MetricOptions): Metric {
    return this.metric("checkpointBytes", options);
  }

  /** 1 while a restore is asked for, runs or is held. */
  metricRestoreRunning(options?: MetricOptions): Metric {
    return this.metric("restoreRunning", options);
  }

  /** Event source mappings that are not what was deployed. */
  metricMappingDrift(options?: MetricOptions): Metric {
    return this.metric("mappingDrift", options);
  }
}

const used = (what: string, prop: string, table: ITable): UsedResource => ({
  ...{ what, prop, resource: table, name: table.tableName },
});

function bucketIs(existing: string | IBucket | undefined): "made" | "taken-over" | "shared" {
  if (existing === undefined) return "made";
  return typeof existing === "string" ? "taken-over" : "shared";
}

function rolesOf(functions: readonly IFunction[]): string[] {
  return functions.map(({ role }) => role?.roleArn ?? "");
}

function mappingOf({ mapping }: EventFunction): DeployedMapping {
  const { batchSize = 0, maximumBatchingWindowInSeconds: maximumBatchingWindowSeconds = 0 } = mapping;
  return { uuid: mapping.ref, expected: { batchSize, maximumBatchingWindowSeconds } };
}

/** Functions read their stream by its name, in their own account and region. */
function checkPlace(scope: Construct, source: string, stream: IStream): void {
  const stack = Stack.of(scope);
  for (const part of ["account", "region"] as const) {
    const [its, ours] = [stream.env[part], stack[part]];
    if (Token.isUnresolved(its) || Token.isUnresolved(ours) || its === ours) continue;
    throw new TidemarkError(
      "fix-configuration",
      `sources.${source} is a stream of the ${part} ${its}, and the stack is deployed to ${ours}; functions read streams of their own account and region. Deploy the app where the stream is.`,
    );
  }
}
