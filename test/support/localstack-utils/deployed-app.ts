/** Looks at a deployed app from outside, through AWS's endpoints alone: its state, its splits, what storage holds. */
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { buffer } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import {
  GetEventSourceMappingCommand,
  GetFunctionConfigurationCommand,
  InvokeCommand,
  type LambdaClient,
  PutFunctionConcurrencyCommand,
  TooManyRequestsException,
} from "@aws-sdk/client-lambda";
import { readStatePage } from "../../../local/read-states.ts";
import { localSurroundings } from "../../../local/surroundings.ts";
import { describeApp } from "../../../shared/app/app-description.ts";
import type { AppDefinition } from "../../../shared/app/define-app.ts";
import { type CheckpointSummary, listCheckpoints } from "../../../shared/checkpoint/lineage.ts";
import type { Manifest } from "../../../shared/checkpoint/manifest.ts";
import { readManifest } from "../../../shared/checkpoint/parse-manifest.ts";
import type { Control } from "../../../shared/control/control.ts";
import { readControl } from "../../../shared/control/control-steps.ts";
import type { Split } from "../../../shared/control/split.ts";
import { listSplits } from "../../../shared/control/split-steps.ts";
import { type DeadLetter, listDeadLetters } from "../../../shared/dead-letter/dead-letter.ts";
import type { JsonValue } from "../../../shared/json/json-value.ts";
import { openStores, type Stores } from "../../../shared/runtime/open-resources.ts";
import { type Deployment, SETTINGS_VARIABLE, type Settings } from "../../../shared/runtime/settings.ts";
import type { CheckpointStorage } from "../../../shared/storage/checkpoint-storage.ts";
import { partPath } from "../../../shared/storage/object-paths.ts";
import { WAIT_MS } from "./wait-until.ts";

const COORDINATORS_MAX = 1;
const TURN_POLL_MS = 1_000;

export interface SplitLook extends Split {
  readonly function: string;
  readonly split: string;
}

export class DeployedApp {
  readonly app: AppDefinition;
  readonly settings: Settings;
  private readonly lambda: LambdaClient;
  private readonly stores: Stores;

  private constructor(app: AppDefinition, settings: Settings, lambda: LambdaClient, stores: Stores) {
    this.app = app;
    this.settings = settings;
    this.lambda = lambda;
    this.stores = stores;
  }

  /** @param coordinator the Lambda function whose settings name everything else of the deployment */
  static async open(app: AppDefinition, coordinator: string, lambda: LambdaClient): Promise<DeployedApp> {
    const { Environment } = await lambda.send(new GetFunctionConfigurationCommand({ FunctionName: coordinator }));
    // As the stack says. LocalStack's CloudFormation passes it over, and a restore that takes minutes would have as many
    // coordinators, each of which has the same splits replayed.
    await lambda.send(
      new PutFunctionConcurrencyCommand({ FunctionName: coordinator, ReservedConcurrentExecutions: COORDINATORS_MAX }),
    );
    const given = JSON.parse(Environment?.Variables?.[SETTINGS_VARIABLE] ?? "{}") as Omit<Settings, "app">;
    const settings: Settings = { ...given, app: describeApp(app) };
    return new DeployedApp(
      app,
      settings,
      lambda,
      await openStores(
        settings,
        localSurroundings("aws", () => {}),
      ),
    );
  }

  get storage(): CheckpointStorage {
    return this.stores.storage;
  }

  close(): Promise<void> {
    return this.stores.close();
  }

  get deployment(): Deployment {
    if (this.settings.deployment === undefined) throw new Error("The coordinator's settings have no deployment.");
    return this.settings.deployment;
  }

  /** The Lambda function of an event function. */
  lambdaOf(functionName: string): string {
    return this.deployment.functions[functionName] ?? functionName;
  }

  async control(): Promise<Control> {
    const control = await readControl(this.stores.control);
    if (control === undefined) throw new Error("The app has no control item yet.");
    return control;
  }

  async splits(functionName: string): Promise<readonly SplitLook[]> {
    const looks: SplitLook[] = [];
    for await (const { split, item } of listSplits(this.stores.control, functionName)) {
      if (item !== "unborn") looks.push({ ...item, function: functionName, split });
    }
    return looks;
  }

  /** The state of every key in the live generation. */
  async states(functionName: string): Promise<Map<string, JsonValue>> {
    const states = new Map<string, JsonValue>();
    let cursor: string | undefined;
    do {
      const page = await readStatePage(this.stores, functionName, cursor);
      for (const { key, state } of page.states) states.set(key, state);
      cursor = page.cursor;
    } while (cursor !== undefined);
    return states;
  }

  async checkpoints(): Promise<readonly CheckpointSummary[]> {
    const found: CheckpointSummary[] = [];
    for await (const summary of listCheckpoints(this.stores.storage, this.app.name)) found.push(summary);
    return found;
  }

  async completed(): Promise<readonly Extract<CheckpointSummary, { status: "completed" }>[]> {
    return (await this.checkpoints()).filter((summary) => summary.status === "completed");
  }

  manifest(checkpoint: number): Promise<Manifest> {
    return readManifest(this.stores.storage, { app: this.app.name, n: checkpoint });
  }

  /** Copies a function's parts of a checkpoint into a folder. @returns the paths */
  async download(checkpoint: number, functionName: string, folder: string): Promise<readonly string[]> {
    const { files } = await this.manifest(checkpoint);
    const paths: string[] = [];
    for (const { name } of files.filter((file) => file.function === functionName)) {
      const target = path.join(folder, name);
      const object = await this.stores.storage.read(partPath(checkpoint, name));
      if (object === undefined) throw new Error(`Checkpoint ${checkpoint} lacks its part ${name}.`);
      await writeFile(target, await buffer(object.body));
      paths.push(target);
    }
    return paths;
  }

  async deadLetters(): Promise<readonly DeadLetter[]> {
    const letters: DeadLetter[] = [];
    for await (const letter of listDeadLetters(this.stores.storage)) letters.push(letter);
    return letters;
  }

  async mappingState(functionName: string): Promise<string> {
    const UUID = this.deployment.mappings[functionName]?.uuid;
    return (await this.lambda.send(new GetEventSourceMappingCommand({ UUID }))).State ?? "";
  }
}

/** What a function answers, or the error that it failed with. */
export interface InvocationAnswer {
  readonly failed: boolean;
  readonly payload: JsonValue;
}

/** Waits for its turn where another invocation of a function that runs one at a time is under way. */
export async function invoke(lambda: LambdaClient, FunctionName: string, event: unknown): Promise<InvocationAnswer> {
  for (let waitedMs = 0; ; waitedMs += TURN_POLL_MS) {
    try {
      const answer = await lambda.send(new InvokeCommand({ FunctionName, Payload: JSON.stringify(event) }));
      const text = answer.Payload?.transformToString() ?? "";
      const payload = text === "" ? null : (JSON.parse(text) as JsonValue);
      return { failed: answer.FunctionError !== undefined, payload };
    } catch (thrown) {
      if (!(thrown instanceof TooManyRequestsException) || waitedMs > WAIT_MS) throw thrown;
      await sleep(TURN_POLL_MS);
    }
  }
}
