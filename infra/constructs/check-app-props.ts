/** The checks of `TidemarkApp`'s props. Each refusal names the prop, what was given, and what to set. */
import { existsSync, statSync } from "node:fs";
import path from "node:path";
import { Duration } from "aws-cdk-lib";
import type { AppDefinition } from "../../shared/app/define-app.ts";
import { isApp } from "../../shared/app/define-app.ts";
import { checkOptions, show } from "../../shared/function/check-options.ts";
import { nearestName } from "../../shared/function/nearest-name.ts";
import { checkBoolean, checkDuration, checkRemovalPolicy, checkWhole, refuse } from "./check-values.ts";
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

/** Refused in `lambda`, each with the way out. */
const FIXED: Readonly<Record<string, string>> = {
  code: "Tidemark bundles the code. Change how by lambda.bundling",
  entry: "The entry is made from module. Leave it out",
  events: "A second source would break the order of splits. Bind it in sources, to a function of its own",
  handler: "The handler is Tidemark's. Leave it out",
  logGroup: "The log group is made with the function. Set logs",
  logRemovalPolicy: "The log group is made with the function. Set logs.removalPolicy",
  logRetention: "The log group is made with the function. Set logs.retention",
  role: "The role is made with exactly what the function needs. Add to it by lambda.initialPolicy",
  runtime: "Tidemark runs on Node 22. Leave it out",
};

/** Folding stops 5 s before the end of an invocation, and a batch needs some time. */
const TIMEOUT_MIN = Duration.seconds(30);
const TIMEOUT_MAX = Duration.minutes(15);
const WORKERS_MAX = 500;
const MINUTE_MS = 60_000;
/** S3's keys have 1,024 bytes; the longest path of Tidemark's takes about 400 of them. */
const PREFIX_PATTERN = /^[A-Za-z0-9!_.*'()-]+(?:\/[A-Za-z0-9!_.*'()-]+)*$/;
const PREFIX_LENGTH_MAX = 256;

/** @throws TidemarkError `fix-configuration` at the first prop that is wrong */
export function checkAppProps(props: unknown): void {
  checkOptions("The props of TidemarkApp", props, PROPS);
  const { app } = props;
  if (!isApp(app)) {
    refuse(
      "app",
      show(app),
      'it must be what defineApp returned. Give the default export of the app module: import app from "./functions/app.ts"',
    );
  }
  checkInterval(app);
  checkModule(props.module);
  const sources = [...new Set(app.functions.map(({ source }) => source))];
  const functions = app.functions.map((binding) => binding.function.name);
  checkSources(props.sources, sources);
  checkFunctions(props.functions, functions);
  checkParts(props);
  checkExisting(props, functions);
  checkTables(props.tables);
  checkCheckpoints(props.checkpoints, (props.existing as { readonly bucket?: unknown } | undefined)?.bucket);
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
  const wayOut =
    'it must be the file of the app module, relative to where cdk runs. Give "functions/app.ts" or the like';
  if (typeof given !== "string" || given === "") refuse("module", show(given), wayOut);
  const file = path.resolve(given);
  if (!existsSync(file) || !statSync(file).isFile())
    refuse("module", show(given), `there is no file ${file}; ${wayOut}`);
  if (!/\.[cm]?[jt]sx?$/.test(given)) refuse("module", show(given), `it is no TypeScript or JavaScript; ${wayOut}`);
}

function checkSources(given: unknown, sources: readonly string[]): void {
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

function refuseName(prop: string, name: string, noun: string, allowed: readonly string[]): never {
  const nearest = nearestName(name, allowed);
  const wayOut = nearest === undefined ? "Remove it" : `Did you mean ${nearest}?`;
  refuse(`A ${noun} in ${prop}`, show(name), `the app's ${noun}s are ${allowed.join(", ")}. ${wayOut}`);
}

function checkFunctions(given: unknown, names: readonly string[]): void {
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
    checkLambda(`functions.${name}.lambda`, options.lambda);
  }
}

function checkParts({
  coordinator,
  snapshot,
  restore,
}: {
  readonly coordinator?: unknown;
  readonly snapshot?: unknown;
  readonly restore?: unknown;
}): void {
  if (coordinator !== undefined) {
    checkOptions("coordinator", coordinator, ["lambda", "exclusive"]);
    checkLambda("coordinator.lambda", coordinator.lambda);
    checkBoolean("coordinator.exclusive", coordinator.exclusive);
  }
  if (snapshot !== undefined) {
    checkOptions("snapshot", snapshot, ["lambda", "workers"]);
    checkLambda("snapshot.lambda", snapshot.lambda);
    if (snapshot.workers !== undefined) {
      checkWhole("snapshot.workers", snapshot.workers, { unit: "invocations", min: 1, max: WORKERS_MAX });
    }
  }
  if (restore === undefined) return;
  checkOptions("restore", restore, ["lambda"]);
  checkLambda("restore.lambda", restore.lambda);
}

/** What CDK knows is CDK's to check. */
function checkLambda(prop: string, given: unknown): void {
  if (given === undefined) return;
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    refuse(
      prop,
      show(given),
      "it must be an object with props of NodejsFunction. Give { memorySize: 2048 } or the like",
    );
  }
  for (const [name, wayOut] of Object.entries(FIXED)) {
    const value = (given as Readonly<Record<string, unknown>>)[name];
    if (value !== undefined) refuse(`${prop}.${name}`, show(value), `it is not the user's to set. ${wayOut}`);
  }
  const { environment, timeout } = given as { readonly environment?: unknown; readonly timeout?: unknown };
  const taken = Object.keys(environment ?? {}).find((name) => /^TIDEMARK_/.test(name));
  if (taken !== undefined) {
    refuse(`${prop}.environment`, `with ${taken}`, "variables of that name are Tidemark's. Give it another name");
  }
  if (timeout !== undefined) checkDuration(`${prop}.timeout`, timeout, { min: TIMEOUT_MIN, max: TIMEOUT_MAX });
}

function checkExisting({ existing }: { readonly existing?: unknown }, functions: readonly string[]): void {
  if (existing === undefined) return;
  checkOptions("existing", existing, ["controlTable", "stateTables", "bucket"]);
  const { controlTable, stateTables = {}, bucket } = existing;
  checkResource("existing.controlTable", controlTable, "tableArn", "table");
  checkResource("existing.bucket", bucket, "bucketArn", "bucket");
  if (typeof stateTables !== "object" || stateTables === null || Array.isArray(stateTables)) {
    refuse(
      "existing.stateTables",
      show(stateTables),
      `it must be an object of tables by names of functions. Give { "${functions[0]}": "the table's name" }`,
    );
  }
  for (const [name, table] of Object.entries(stateTables)) {
    if (!functions.includes(name)) refuseName("existing.stateTables", name, "function", functions);
    checkResource(`existing.stateTables.${name}`, table, "tableArn", "table");
  }
}

function checkResource(prop: string, given: unknown, arn: "tableArn" | "bucketArn", noun: string): void {
  if (given === undefined || (typeof given === "string" && given !== "")) return;
  if (typeof given === "object" && given !== null && typeof (given as Record<string, unknown>)[arn] === "string")
    return;
  refuse(
    prop,
    show(given),
    `it must be the ${noun}'s name, or the ${noun} as a construct. Give one of them, or leave it out`,
  );
}

function checkTables(given: unknown): void {
  if (given === undefined) return;
  const names = [
    "removalPolicy",
    "deletionProtection",
    "pointInTimeRecovery",
    "provisioned",
    "warmThroughput",
  ] as const;
  checkOptions("tables", given, names);
  checkRemovalPolicy("tables.removalPolicy", given.removalPolicy);
  checkBoolean("tables.deletionProtection", given.deletionProtection);
  checkBoolean("tables.pointInTimeRecovery", given.pointInTimeRecovery);
  if (given.provisioned === undefined) return;
  checkOptions("tables.provisioned", given.provisioned, ["readCapacity", "writeCapacity"]);
  for (const capacity of ["readCapacity", "writeCapacity"] as const) {
    const bounds = { unit: "units a second", min: 1, max: 40_000 };
    checkWhole(`tables.provisioned.${capacity}`, given.provisioned[capacity], bounds);
  }
}

function checkCheckpoints(given: unknown, existingBucket: unknown): void {
  if (given === undefined) return;
  const ofBucket = ["removalPolicy", "noncurrentVersionExpiration", "deadLetterExpiration"] as const;
  checkOptions("checkpoints", given, ["prefix", ...ofBucket]);
  const { prefix, noncurrentVersionExpiration, deadLetterExpiration } = given;
  const isPrefix = typeof prefix === "string" && prefix.length <= PREFIX_LENGTH_MAX && PREFIX_PATTERN.test(prefix);
  if (prefix !== undefined && !(isPrefix && prefix.split("/").every((segment) => !/^\.+$|\*/.test(segment)))) {
    refuse(
      "checkpoints.prefix",
      show(prefix),
      `it must be up to ${PREFIX_LENGTH_MAX} letters, digits and !_.'()-, in segments divided by single slashes. Give "flights" or "team/flights"`,
    );
  }
  checkRemovalPolicy("checkpoints.removalPolicy", given.removalPolicy);
  for (const [name, days] of Object.entries({ noncurrentVersionExpiration, deadLetterExpiration })) {
    if (days === undefined) continue;
    checkDuration(`checkpoints.${name}`, days, { min: Duration.days(1) });
    if (days.toMilliseconds() % Duration.days(1).toMilliseconds() !== 0) {
      refuse(`checkpoints.${name}`, days.toHumanString(), "it must be whole days. Give Duration.days(…)");
    }
  }
  const set = existingBucket === undefined ? undefined : ofBucket.find((name) => given[name] !== undefined);
  if (set !== undefined) {
    refuse(
      `checkpoints.${set}`,
      "set",
      "the bucket of existing.bucket keeps the policies that it was made with. Leave one of the two out, or set it where the bucket is made",
    );
  }
}

function checkLogs(given: unknown): void {
  checkOptions("logs", given, ["retention", "removalPolicy"]);
  checkRemovalPolicy("logs.removalPolicy", given.removalPolicy);
  if (given.retention === undefined || typeof given.retention === "number") return;
  refuse(
    "logs.retention",
    show(given.retention),
    "it must be one of RetentionDays. Give RetentionDays.ONE_MONTH or the like",
  );
}

function checkAlarms(given: unknown, { checkpointing }: AppDefinition): void {
  if (given === undefined || given === false) return;
  checkOptions("alarms", given, ["actions", "checkpointAge"]);
  if (given.actions !== undefined && !Array.isArray(given.actions)) {
    refuse("alarms.actions", show(given.actions), "it must be a list of alarm actions. Give [new SnsAction(topic)]");
  }
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
  checkDuration("alarms.checkpointAge", given.checkpointAge, { min: Duration.millis(intervalMs) });
}
