/** The checks of what holds data: tables and bucket, made or taken over. */
import { Duration, Token } from "aws-cdk-lib";
import type { ITable } from "aws-cdk-lib/aws-dynamodb";
import { checkOptions, show } from "../../shared/function/check-options.ts";
import {
  checkBoolean,
  checkDuration,
  checkRemovalPolicy,
  checkWhole,
  isMade,
  refuse,
  refuseName,
} from "./check-values.ts";
import type { KinesisBinding } from "./kinesis-binding.ts";
import type { ExistingResources } from "./tidemark-app-props.ts";

/** S3's keys have 1,024 bytes; the longest path of Tidemark's takes about 400 of them. */
const PREFIX_PATTERN = /^[A-Za-z0-9!_.*'()-]+(?:\/[A-Za-z0-9!_.*'()-]+)*$/;
const PREFIX_LENGTH_MAX = 256;
/** Far above what AWS gives any table without being asked (40,000). */
const WARM_UNITS_MAX = 10_000_000;
/** S3 takes no more: 2^31 - 1 days. A century says "for ever" as well. */
const EXPIRATION_MAX = Duration.days(36_500);

const TABLE = { arn: "tableArn", noun: "table", pattern: /^[A-Za-z0-9_.-]{3,255}$/ };
/** Of old, names had capitals and underscores. */
const BUCKET = { arn: "bucketArn", noun: "bucket", pattern: /^[A-Za-z0-9_.-]{3,63}$/ };

export function checkExisting(
  existing: unknown,
  functions: readonly string[],
): asserts existing is ExistingResources | undefined {
  if (existing === undefined) return;
  checkOptions("existing", existing, ["controlTable", "stateTables", "bucket", "bucketPolicyByHand"]);
  const { controlTable, stateTables = {}, bucket, bucketPolicyByHand } = existing;
  checkResource("existing.controlTable", controlTable, TABLE);
  checkResource("existing.bucket", bucket, BUCKET);
  checkBoolean("existing.bucketPolicyByHand", bucketPolicyByHand);
  if (bucketPolicyByHand === true && (bucket === undefined || typeof bucket === "string")) {
    refuse(
      "existing.bucketPolicyByHand",
      "true",
      `${bucket === undefined ? "the bucket is made here" : "the bucket is given by its name"}, and its policy with it. Leave it out, or give existing.bucket as a construct`,
    );
  }
  if (typeof stateTables !== "object" || stateTables === null || Array.isArray(stateTables)) {
    refuse(
      "existing.stateTables",
      show(stateTables),
      `it must be an object of tables by names of functions. Give { "${functions[0]}": "the table's name" }`,
    );
  }
  for (const [name, table] of Object.entries(stateTables)) {
    if (!functions.includes(name)) refuseName("existing.stateTables", name, "function", functions);
    checkResource(`existing.stateTables.${name}`, table, TABLE);
  }
  checkTablesApart(existing as ExistingResources);
}

function checkResource(
  prop: string,
  given: unknown,
  { arn, noun, pattern }: { readonly arn: string; readonly noun: string; readonly pattern: RegExp },
): void {
  if (given === undefined || isMade(given, arn)) return;
  if (typeof given === "string" && (Token.isUnresolved(given) || pattern.test(given))) return;
  refuse(
    prop,
    show(given),
    `it must be the ${noun}'s name, or the ${noun} as a construct. Give one of them, or leave it out`,
  );
}

function checkTablesApart({ controlTable, stateTables = {} }: ExistingResources): void {
  const props = new Map<string, string>();
  const given: [string, string | ITable | undefined][] = [
    ["existing.controlTable", controlTable],
    ...Object.entries(stateTables).map(([name, table]): [string, string | ITable] => [
      `existing.stateTables.${name}`,
      table,
    ]),
  ];
  for (const [prop, table] of given) {
    if (table === undefined) continue;
    const name = typeof table === "string" ? table : table.tableName;
    const other = props.get(name);
    if (other !== undefined) {
      refuse(
        prop,
        Token.isUnresolved(name) ? "a table" : show(name),
        `${other} is the same table, and one would overwrite what the other keeps. Give each a table of its own`,
      );
    }
    props.set(name, prop);
  }
}

export function checkTables(
  given: unknown,
  existing: ExistingResources | undefined,
  functions: readonly string[],
): void {
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
  if (given.provisioned !== undefined) {
    checkOptions("tables.provisioned", given.provisioned, ["readCapacity", "writeCapacity"]);
    for (const capacity of ["readCapacity", "writeCapacity"] as const) {
      const bounds = { unit: "units a second", min: 1, max: 40_000 };
      checkWhole(`tables.provisioned.${capacity}`, given.provisioned[capacity], bounds);
    }
  }
  if (given.warmThroughput !== undefined) {
    checkOptions("tables.warmThroughput", given.warmThroughput, ["readUnitsPerSecond", "writeUnitsPerSecond"]);
    for (const [name, units] of Object.entries(given.warmThroughput)) {
      if (units !== undefined)
        checkWhole(`tables.warmThroughput.${name}`, units, { unit: "units a second", min: 1, max: WARM_UNITS_MAX });
    }
  }
  const { controlTable, stateTables = {} } = existing ?? {};
  const makesTables = controlTable === undefined || functions.some((name) => stateTables[name] === undefined);
  const set = makesTables ? undefined : names.find((name) => given[name] !== undefined);
  if (set !== undefined) {
    refuse(
      `tables.${set}`,
      "set",
      "existing names every table, and they stay as they were made. Leave it out, or set it where the tables are made",
    );
  }
}

export function checkCheckpoints(
  given: unknown,
  existing: ExistingResources | undefined,
  sources: { readonly [source: string]: KinesisBinding },
): void {
  if (given === undefined) return;
  const ofBucket = ["removalPolicy", "noncurrentVersionExpiration", "deadLetterExpiration"] as const;
  checkOptions("checkpoints", given, ["prefix", "signing", ...ofBucket]);
  const { prefix, signing, noncurrentVersionExpiration, deadLetterExpiration } = given;
  if (signing !== undefined && typeof signing !== "boolean" && !isMade(signing, "keyArn")) {
    refuse("checkpoints.signing", show(signing), "it must be true, false or a key of the spec HMAC_256. Give true");
  }
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
    checkDuration(`checkpoints.${name}`, days, { min: Duration.days(1), max: EXPIRATION_MAX });
    if (days.toMilliseconds() % Duration.days(1).toMilliseconds() !== 0) {
      refuse(`checkpoints.${name}`, days.toHumanString(), "it must be whole days. Give Duration.days(…)");
    }
  }
  const set = existing?.bucket === undefined ? undefined : ofBucket.find((name) => given[name] !== undefined);
  if (set !== undefined) {
    refuse(
      `checkpoints.${set}`,
      "set",
      "the bucket of existing.bucket keeps the policies that it was made with. Leave one of the two out, or set it where the bucket is made",
    );
  }
  if (deadLetterExpiration !== undefined) checkOutlasts(deadLetterExpiration as Duration, sources);
}

/** A letter that was put back is read again by a restore that replays it: as long as there is something to replay. */
function checkOutlasts(letters: Duration, sources: { readonly [source: string]: KinesisBinding }): void {
  for (const [source, { retention }] of Object.entries(sources)) {
    if (letters.toMilliseconds() >= retention.toMilliseconds()) continue;
    refuse(
      "checkpoints.deadLetterExpiration",
      letters.toHumanString(),
      `the stream of sources.${source} keeps records for ${retention.toHumanString()}, for as long as a restore may need a letter again. Give as much or more, or leave it out`,
    );
  }
}
