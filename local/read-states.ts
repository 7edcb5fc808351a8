/** Reads the working state of a function, key by key, as it is now. */
import { readControl } from "../shared/control/control-steps.ts";
import type { ControlStore } from "../shared/control/control-store.ts";
import type { JsonValue } from "../shared/json/json-value.ts";
import type { StateBackend } from "../shared/state/state-backend.ts";
import { ABSENT, type StateItem } from "../shared/state/state-item.ts";

export interface KeyState {
  readonly key: string;
  readonly state: JsonValue;
  readonly stateVersion: number;
}

export interface StatePage {
  readonly states: readonly KeyState[];
  /** Where to go on; absent after the last page. */
  readonly cursor?: string;
}

interface Readable {
  readonly control: ControlStore;
  readonly state: StateBackend;
}

/** The state of one key in the live generation; undefined: it has none. Cost: two reads. */
export async function readState(stores: Readable, functionName: string, key: string): Promise<KeyState | undefined> {
  const scope = { function: functionName, generation: await generationOf(stores) };
  const item = (await stores.state.load(scope, [key])).get(key);
  return item === undefined ? undefined : present(item);
}

/** A page of all keys. What is written meanwhile may show or not. */
export async function readStatePage(stores: Readable, functionName: string, cursor?: string): Promise<StatePage> {
  const scope = { function: functionName, generation: await generationOf(stores) };
  for await (const page of stores.state.scan(scope, { index: 0, count: 1 }, cursor)) {
    const states = page.items.flatMap((item) => present(item) ?? []);
    return { states, ...(page.cursor === undefined ? {} : { cursor: page.cursor }) };
  }
  return { states: [] };
}

async function generationOf({ control }: Readable): Promise<number> {
  return (await readControl(control))?.gen ?? 1;
}

function present({ key, state }: StateItem): KeyState | undefined {
  return state === ABSENT ? undefined : { key, state: state.value, stateVersion: state.version };
}
