/** The checks of `TidemarkApp`'s props. Each refusal names the prop, what was given, and what to set. */
import { existsSync, statSync } from "node:fs";
import path from "node:path";
import { Duration } from "aws-cdk-lib";
import { RetentionDays } from "aws-cdk-lib/aws-logs";
import type { AppDefinition } from "../../shared/app/define-app.ts";
import { isApp } from "../../shared/app/define-app.ts";
import { SNAPSHOT_WORKERS_MAX } from "../../shared/app/limits.ts";
import { checkOptions, show } from "../../shared/function/check-options.ts";
import { checkLambda } from "./check-lambda.ts";
import { checkNetwork } from "./check-network.ts";
import { checkCheckpoints, checkExisting, checkTables } from "./check-stores.ts";
import {
  checkBoolean,
  checkDuration,
  checkList,
  checkMade,
  checkMember,
  checkRemovalPolicy,
  checkWhole,
  refuse,
  refuseName,
} from "./check-values.ts";
import { KinesisBinding } from "./kinesis-binding.ts";

const PROPS = [
  "app",
  "module",
  "sources",
  "functions",
  "coordinator",
  "snapshot",
  "restore",
  "existing",
  "encryptionKey",
  "vpc",
  "vpcSubnets",
  "securityGroups",
  "tables",
  "checkpoints",
  "logs",
  "logKeys",
  "alarms",
  "dashboard",
  "projectRoot",
  "depsLockFilePath",
] as const;

const MINUTE_MS = 60_000;
/** Past any interval there may be. */
const CHECKPOINT_AGE_MAX = Duration.days(30);

/** @throws TidemarkError `fix-configuration` at the first prop that is wrong */
export function checkAppProps(props: unknown): void {
  checkOptions("The props of TidemarkApp", props, PROPS);
  const { app } = props;
  if (!isApp(app)) {
    refuse(
      "app",
      show(app),
      'it must be what defineApp returned. Give the default export of the app module: import app from "./my-app.ts"',
    );
  }
  checkInterval(app);
  checkModule(props.module);
  const sources = [...new Set(app.functions.map(({ source }) => source))];
  const functions = app.functions.map((binding) => binding.function.name);
  checkPath("projectRoot", props.projectRoot, "folder");
  checkPath("depsLockFilePath", props.depsLockFilePath, "file");
  checkSources(props.sources, sources);
  checkMade(
    "encryptionKey",
    props.encryptionKey,
    "keyArn",
    "a key of aws-cdk-lib/aws-kms. Give Key.fromKeyArn(…) or the like",
  );
  checkNetwork("", props);
  checkFunctions(props.functions, functions, props.vpc);
  checkParts(props);
  checkExisting(props.existing, functions);
  checkTables(props.tables, props.existing, functions);
  checkCheckpoints(props.checkpoints, props.existing, props.sources);
  if (props.logs !== undefined) checkLogs(props.logs);
  checkBoolean("logKeys", props.logKeys);
  checkBoolean("dashboard", props.dashboard);
  checkAlarms(props.alarms, app);
}

/** EventBridge's rules fire once a minute, at the most. */
function checkInterval({ checkpointing }: AppDefinition): void {
  const intervalMs = checkpointing?.intervalMs;
  if (intervalMs === undefined || intervalMs % MINUTE_MS === 0) return;
  const whole = Math.max(1, Math.round(intervalMs / MINUTE_MS)) * MINUTE_MS;
  refuse(
    "checkpointing.intervalMs of the app module",
    `${intervalMs} ms`,
    `deployed, it must be whole minutes, at least 1, since a schedule fires once a minute. Set it to ${whole}, or leave it out for no periodic checkpoints`,
  );
}

function checkModule(given: unknown): void {
  const wayOut = 'it must be the file of the app module, relative to where cdk runs. Give "my-app.ts" or the like';
  if (typeof given !== "string" || given === "") refuse("module", show(given), wayOut);
  const file = path.resolve(given);
  if (!existsSync(file) || !statSync(file).isFile())
    refuse("module", show(given), `there is no file ${file}; ${wayOut}`);
  if (!/\.[cm]?[jt]sx?$/.test(given)) refuse("module", show(given), `it is no TypeScript or JavaScript; ${wayOut}`);
}

function checkPath(prop: "projectRoot" | "depsLockFilePath", given: unknown, noun: "folder" | "file"): void {
  if (given === undefined) return;
  const wayOut = `it must be a ${noun} that there is, relative to where cdk runs. Give its path, or leave it out`;
  if (typeof given !== "string") refuse(prop, show(given), wayOut);
  const found = statSync(given, { throwIfNoEntry: false });
  if (noun === "folder" ? found?.isDirectory() !== true : found?.isFile() !== true) refuse(prop, show(given), wayOut);
}

function checkSources(
  given: unknown,
  sources: readonly string[],
): asserts given is { readonly [source: string]: KinesisBinding } {
  const example = `{ ${sources[0]}: fromKinesis(stream) }`;
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    refuse("sources", show(given), `it must say what each source of the app is read from. Give ${example}`);
  }
  for (const [name, binding] of Object.entries(given)) {
    if (!sources.includes(name)) refuseName(`sources`, name, "source", sources);
    if (!(binding instanceof KinesisBinding)) {
      refuse(`sources.${name}`, show(binding), `it must be a binding. Give fromKinesis(stream)`);
    }
  }
  const unbound = sources.filter((name) => !Object.hasOwn(given, name));
  if (unbound.length > 0) {
    refuse(
      `sources`,
      `without ${unbound.join(", ")}`,
      `each source that the app's functions read must be bound. Add ${unbound.map((name) => `${name}: fromKinesis(stream)`).join(", ")}`,
    );
  }
}

function checkFunctions(given: unknown, names: readonly string[], vpc: unknown): void {
  if (given === undefined) return;
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    refuse(
      "functions",
      show(given),
      `it must be an object by names of functions. Give { "${names[0]}": { lambda: … } }`,
    );
  }
  for (const [name, options] of Object.entries(given)) {
    if (!names.includes(name)) refuseName("functions", name, "function", names);
    checkOptions(`functions.${name}`, options, ["lambda"]);
    checkLambda(`functions.${name}.lambda`, options.lambda, vpc);
  }
}

function checkParts({
  coordinator,
  snapshot,
  restore,
  vpc,
}: {
  readonly coordinator?: unknown;
  readonly snapshot?: unknown;
  readonly restore?: unknown;
  readonly vpc?: unknown;
}): void {
  if (coordinator !== undefined) {
    checkOptions("coordinator", coordinator, ["lambda", "exclusive"]);
    checkLambda("coordinator.lambda", coordinator.lambda, vpc);
    checkBoolean("coordinator.exclusive", coordinator.exclusive);
  }
  if (snapshot !== undefined) {
    checkOptions("snapshot", snapshot, ["lambda", "workers"]);
    checkLambda("snapshot.lambda", snapshot.lambda, vpc);
    if (snapshot.workers !== undefined) {
      checkWhole("snapshot.workers", snapshot.workers, { unit: "invocations", min: 1, max: SNAPSHOT_WORKERS_MAX });
    }
  }
  if (restore === undefined) return;
  checkOptions("restore", restore, ["lambda"]);
  checkLambda("restore.lambda", restore.lambda, vpc);
}

function checkLogs(given: unknown): void {
  checkOptions("logs", given, ["retention", "removalPolicy", "encryptionKey"]);
  if (given.encryptionKey !== false) {
    checkMade(
      "logs.encryptionKey",
      given.encryptionKey,
      "keyArn",
      "a key of aws-cdk-lib/aws-kms, or false. Give Key.fromKeyArn(…) or the like",
    );
  }
  checkRemovalPolicy("logs.removalPolicy", given.removalPolicy);
  checkMember("logs.retention", given.retention, RetentionDays, "RetentionDays.ONE_MONTH");
}

function checkAlarms(given: unknown, { checkpointing }: AppDefinition): void {
  if (given === undefined || given === false) return;
  checkOptions("alarms", given, ["actions", "checkpointAge", "refusedPercent"]);
  const { refusedPercent: percent = 1 } = given;
  if (!(typeof percent === "number" && percent > 0 && percent <= 100)) {
    refuse(
      "alarms.refusedPercent",
      show(percent),
      "it must be a number of more than 0 and at most 100. Give 1, or leave it out",
    );
  }
  checkList("alarms.actions", given.actions, "bind", "alarm actions. Give [new SnsAction(topic)]");
  if (given.checkpointAge === undefined) return;
  const intervalMs = checkpointing?.intervalMs;
  if (intervalMs === undefined) {
    refuse(
      "alarms.checkpointAge",
      "set",
      "the app module sets no checkpointing.intervalMs, so that no checkpoint is ever late. Set an interval, or leave it out",
    );
  }
  // Younger than that it would go off between two checkpoints that are in time.
  checkDuration("alarms.checkpointAge", given.checkpointAge, {
    min: Duration.millis(intervalMs),
    max: CHECKPOINT_AGE_MAX,
  });
}
