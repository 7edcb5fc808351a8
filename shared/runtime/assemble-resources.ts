/** Puts what an app runs on together from stores and sources that are open. Chooses no adapter. */
import type { AppResources } from "../app/app-resources.ts";
import type { ControlStore } from "../control/control-store.ts";
import { openRedriveSource } from "../dead-letter/redrive-source.ts";
import { withRedrive } from "../dead-letter/with-redrive.ts";
import type { Clock, Randomness } from "../environment.ts";
import { TidemarkError } from "../errors.ts";
import type { KeyNamer } from "../function/name-key.ts";
import type { Observer } from "../observer.ts";
import type { Source } from "../source/source.ts";
import type { StateBackend } from "../state/state-backend.ts";
import type { CheckpointStorage } from "../storage/checkpoint-storage.ts";
import type { Settings } from "./settings.ts";

/** The stores alone: for whoever looks at state and checkpoints and reads no source. */
export interface Stores {
  readonly control: ControlStore;
  readonly state: StateBackend;
  readonly storage: CheckpointStorage;
  close(): Promise<void>;
}

export interface OpenedResources extends AppResources {
  close(): Promise<void>;
}

/** What resources need of their environment besides clients. */
export interface Attendants {
  readonly clock: Clock;
  readonly randomness: Randomness;
  readonly observe: Observer;
  /** How messages name a user's key. @default as it is */
  readonly nameKey?: KeyNamer;
  /** See {@link AppResources.codeVersion}; for those who run the user's code. */
  readonly codeVersion?: () => string;
}

/** @throws TidemarkError `fix-configuration` when a source has no binding; what `openSource` throws */
export async function assembleResources(
  settings: Settings,
  { clock, randomness, observe, nameKey, codeVersion }: Attendants,
  stores: Stores,
  openSource: (binding: string) => Promise<Source>,
): Promise<OpenedResources> {
  const { app } = settings;
  const opened = new Map<string, Source>();
  const byFunction = new Map<string, Source>();
  for (const { name: functionName, source: name } of app.functions) {
    let source = opened.get(name);
    if (source === undefined) {
      source = await openSource(bindingOf(settings, name, functionName));
      opened.set(name, source);
    }
    const redrive = openRedriveSource({ storage: stores.storage, functionName, original: source.events, clock });
    byFunction.set(functionName, withRedrive(source, redrive));
  }
  return {
    app,
    control: stores.control,
    state: stores.state,
    storage: stores.storage,
    clock,
    randomness,
    observe,
    ...(nameKey === undefined ? {} : { nameKey }),
    ...(codeVersion === undefined ? {} : { codeVersion }),
    close: () => stores.close(),
    sourceOf(functionName) {
      const source = byFunction.get(functionName);
      if (source !== undefined) return source;
      throw new TidemarkError(
        "fix-configuration",
        `The app ${app.name} has no function ${JSON.stringify(functionName)}; it has ${[...byFunction.keys()].join(", ")}.`,
      );
    },
  };
}

function bindingOf(settings: Settings, name: string, functionName: string): string {
  const binding = settings.sources[name];
  if (binding !== undefined) return binding;
  throw new TidemarkError(
    "fix-configuration",
    `Nothing says where to read the source ${JSON.stringify(name)} of function ${functionName}. Name it in the app (sources: { ${JSON.stringify(name)}: "data/*.jsonl" }), or on the command line: --source ${name}=PATH.`,
  );
}

/** @throws TidemarkError `fix-configuration` when the settings name none */
export function tableOf(tables: { readonly [functionName: string]: string }, functionName: string): string {
  const table = tables[functionName];
  if (table !== undefined) return table;
  throw new TidemarkError(
    "fix-configuration",
    `The settings name no state table for function ${JSON.stringify(functionName)}; they name tables for ${Object.keys(tables).join(", ")}. Deploy the app again.`,
  );
}
