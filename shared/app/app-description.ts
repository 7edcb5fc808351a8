/**
 * What the parts that run no user code (coordinator, snapshot, restore, CLI) know of an app: data alone, every
 * default filled in. Made from the app module by `describeApp`; carried in settings.
 */
import { TidemarkError } from "../errors.ts";
import { stateVersionOf } from "../function/upgrade-image.ts";
import type { AppDefinition, CheckpointingMode, FunctionBinding } from "./define-app.ts";

export interface FunctionDescription {
  readonly name: string;
  readonly previousName?: string;
  readonly source: string;
  readonly stateVersion: number;
  /** Earlier records are dropped; absent: none is. Ms since 1970. */
  readonly startTimeMs?: number;
}

export interface AppDescription {
  readonly name: string;
  readonly functions: readonly FunctionDescription[];
  readonly checkpointing: {
    /** Absent: checkpoints are taken only when asked for. */
    readonly intervalMs?: number;
    readonly mode: CheckpointingMode;
    readonly timeoutMs: number;
    readonly retained: number;
  };
  readonly deadLetters: { readonly triesMax: number; readonly maxConsecutiveDeadLetters: number };
}

/** The data of an app, every default filled in: a plain object that JSON carries unchanged. */
export function describeApp(app: AppDefinition): AppDescription {
  const { intervalMs, mode, timeoutMs, retained } = app.checkpointing ?? {};
  return {
    name: app.name,
    functions: app.functions.map(describeFunction),
    checkpointing: {
      ...(intervalMs === undefined ? {} : { intervalMs }),
      mode: mode ?? "exactly-once",
      timeoutMs: timeoutMs ?? 600_000,
      retained: retained ?? 10,
    },
    deadLetters: {
      triesMax: app.deadLetters?.triesMax ?? 10,
      maxConsecutiveDeadLetters: app.deadLetters?.maxConsecutiveDeadLetters ?? 100,
    },
  };
}

function describeFunction({ function: definition, source, startFrom }: FunctionBinding): FunctionDescription {
  return {
    name: definition.name,
    ...(definition.previousName === undefined ? {} : { previousName: definition.previousName }),
    source,
    stateVersion: stateVersionOf(definition),
    ...(startFrom instanceof Date ? { startTimeMs: startFrom.getTime() } : {}),
  };
}

/** The function of that name. @throws TidemarkError `fix-configuration` naming those that there are */
export function functionNamed({ name: app, functions }: AppDescription, name: string): FunctionDescription {
  const found = functions.find((description) => description.name === name);
  if (found !== undefined) return found;
  throw new TidemarkError(
    "fix-configuration",
    `The app ${app} has no function ${JSON.stringify(name)}; it has ${functions.map((description) => description.name).join(", ")}.`,
  );
}
