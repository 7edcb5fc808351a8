/** Items of the generations that a restore left behind are removed in as many invocations as it takes. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { AppResources } from "../../../shared/app/app-resources.ts";
import { removeOlderGenerations } from "../../../shared/checkpoint/sweep.ts";
import type { Control } from "../../../shared/control/control.ts";
import { ensureControl, flipControl, readControl } from "../../../shared/control/control-steps.ts";
import { createControlTable } from "../../../shared/control/dynamodb/control-table.ts";
import { DynamoDBControlStore } from "../../../shared/control/dynamodb/dynamodb-control-store.ts";
import { HeapControlStore } from "../../../shared/control/heap/heap-control-store.ts";
import { sweepKey } from "../../../shared/control/item-keys.ts";
import { DynamoDBStateBackend } from "../../../shared/state/dynamodb/dynamodb-state-backend.ts";
import { createStateTable } from "../../../shared/state/dynamodb/state-table.ts";
import { HeapStateBackend } from "../../../shared/state/heap/heap-state-backend.ts";
import type { StateBackend, StateScope } from "../../../shared/state/state-backend.ts";
import { access, newTableName, startDynamoDB, type TestDynamoDB } from "../../support/dynalite.ts";
import { overriding } from "../../support/overriding.ts";
import { CheckpointWorld, FUNCTION } from "./checkpoint-world.ts";

type Stores = Pick<AppResources, "control" | "state">;
type Cursor = Parameters<StateBackend["removeOlderGenerations"]>[2];

const KEYS = 24;
let dynamodb: TestDynamoDB;
beforeAll(async () => {
  dynamodb = await startDynamoDB();
});
afterAll(() => dynamodb.close());

const stores: Record<string, () => Promise<Stores>> = {
  heap: async () => ({ control: new HeapControlStore(), state: new HeapStateBackend() }),
  DynamoDB: async () => {
    const surroundings = access(dynamodb.client());
    const [table, states] = [newTableName(), newTableName()];
    await createControlTable(surroundings, table);
    await createStateTable(surroundings, states);
    return {
      control: new DynamoDBControlStore({ ...surroundings, table }),
      state: new DynamoDBStateBackend({ ...surroundings, tableOf: () => states, pageItemsMax: 3 }),
    };
  },
};

async function fill(state: StateBackend, generation: number): Promise<void> {
  const writes = Array.from({ length: KEYS }, async (_, i) => {
    const item = { key: `k${i}`, generation, v: `v${i}`, epoch: 0, state: { value: i, version: 1 }, applied: {} };
    await state.write(FUNCTION, item, undefined);
  });
  await Promise.all(writes);
}

async function count(state: StateBackend, generation: number): Promise<number> {
  let items = 0;
  for await (const page of state.scan({ function: FUNCTION, generation }, { index: 0, count: 1 })) {
    items += page.items.length;
  }
  return items;
}

/** Control as after a restore into `target` whose first checkpoint has completed. */
async function flipped(resources: AppResources, target: number): Promise<Control> {
  const { control: store } = resources;
  const { epoch } = await ensureControl(store, "exactly-once");
  const from = { generation: 1, checkpoint: 1 };
  await flipControl(store, { target, from, mode: "exactly-once", epochAtLeast: epoch, epochRead: epoch });
  const control = await readControl(store);
  if (control === undefined) throw new Error("control was not made");
  return { ...control, coverage: { generation: target, maturing: { n: 1, atMs: 0 } } };
}

/** A state backend whose every page takes a second of the world's time; `called` is told of each before it is asked. */
function slow(world: CheckpointWorld, state: StateBackend, called: (slice: number, cursor: Cursor) => void = () => {}) {
  return overriding(state, "removeOlderGenerations", (scope: StateScope, slice, cursor) => {
    world.nowMs += 1_000;
    called(slice.index, cursor);
    return state.removeOlderGenerations(scope, slice, cursor);
  });
}

describe.each(Object.keys(stores))("on %s, items of older generations", (name) => {
  async function restored() {
    const world = new CheckpointWorld();
    const opened = await stores[name]?.();
    if (opened === undefined) throw new Error(`no stores are called ${name}`);
    for (const generation of [1, 2, 3, 4]) await fill(opened.state, generation);
    return { world, ...opened, control: await flipped(world.resources(opened), 3), store: opened.control };
  }

  /** Invocations that have time for a page of each slice, until one has noted that nothing is left. */
  async function sweepToTheEnd(world: CheckpointWorld, resources: AppResources, control: Control): Promise<number> {
    for (let invocations = 1; invocations <= 100; invocations += 1) {
      await removeOlderGenerations(resources, control, world.nowMs + 1);
      if ((await readControl(resources.control))?.sweep === undefined) return invocations;
    }
    throw new Error("the sweep has not come to its end in 100 invocations");
  }

  test("are gone in the end though each invocation has time for one page of a slice only, and no page is read twice", async () => {
    const { world, store, state, control } = await restored();
    const pages: string[] = [];
    const resources = world.resources({
      control: store,
      state: slow(world, state, (slice, cursor) => pages.push(`${slice} ${cursor}`)),
    });
    const invocations = await sweepToTheEnd(world, resources, control);
    // Heap's generations are a page; three items are one of DynamoDB's.
    if (name === "DynamoDB") expect(invocations).toBeGreaterThan((4 * KEYS) / 3 / 4 / 2);
    expect(new Set(pages).size).toBe(pages.length);
    const left = await Promise.all([1, 2, 3, 4].map((generation) => count(state, generation)));
    expect(left).toEqual([0, 0, KEYS, KEYS]);
  });

  test("stay where no checkpoint of the live generation has completed yet", async () => {
    const { world, store, state, control } = await restored();
    const resources = world.resources({ control: store, state });
    await removeOlderGenerations(
      resources,
      { ...control, coverage: { ...control.coverage, generation: 2 } as never },
      1e15,
    );
    expect(await count(state, 1)).toBe(KEYS);
  });

  test("are gone in the end though an invocation dies before it has noted its first pages", async () => {
    const { world, store, state, control } = await restored();
    let dying = true;
    const resources = world.resources({
      control: store,
      state: overriding(state, "removeOlderGenerations", async (scope, slice, cursor) => {
        const next = await state.removeOlderGenerations(scope, slice, cursor);
        // The other slices' pages are not noted either.
        if (dying && slice.index === 3) throw new Error("the process died");
        return next;
      }),
    });
    await expect(removeOlderGenerations(resources, control, 1e15)).rejects.toThrow("the process died");
    expect(await store.get(sweepKey(FUNCTION))).toBeUndefined();
    dying = false;
    await sweepToTheEnd(world, resources, control);
    expect(await count(state, 1)).toBe(0);
    expect(await count(state, 3)).toBe(KEYS);
  });

  test("are gone in the end though two coordinators remove them at once, of which the slower one takes nothing back", async () => {
    const { world, store, state, control } = await restored();
    const resources = world.resources({ control: store, state: slow(world, state) });
    let overtaken = false;
    const stalled = world.resources({
      control: overriding(store, "update", async (key, write) => {
        if (!overtaken) {
          overtaken = true;
          await removeOlderGenerations(resources, control, world.nowMs + 1_000);
          const ahead = await store.get(sweepKey(FUNCTION));
          expect(await store.update(key, write)).toMatchObject({ applied: false });
          expect(await store.get(sweepKey(FUNCTION))).toEqual(ahead);
          return { applied: false };
        }
        return store.update(key, write);
      }),
      state,
    });
    await removeOlderGenerations(stalled, control, 1e15);
    expect(overtaken).toBe(true);
    await sweepToTheEnd(world, resources, control);
    expect(await count(state, 2)).toBe(0);
    expect(await count(state, 3)).toBe(KEYS);
  });

  test("of the generation that was live until now are removed from the beginning, when a newer one takes its place", async () => {
    const { world, store, state, control } = await restored();
    const resources = world.resources({ control: store, state: slow(world, state) });
    await removeOlderGenerations(resources, control, world.nowMs + 1_000);
    const newer = await flipped(resources, 4);
    await sweepToTheEnd(world, resources, newer);
    const left = await Promise.all([1, 2, 3, 4].map((generation) => count(state, generation)));
    expect(left).toEqual([0, 0, 0, KEYS]);
  });

  test("are not taken for gone by a coordinator that has not heard of a newer generation, nor is its progress taken back", async () => {
    const { world, store, state, control } = await restored();
    const resources = world.resources({ control: store, state: slow(world, state) });
    const newer = await flipped(resources, 4);
    await removeOlderGenerations(resources, newer, world.nowMs + 1);
    const seen = async () => [await store.get(sweepKey(FUNCTION)), await readControl(store)];
    const before = await seen();
    await removeOlderGenerations(resources, control, 1e15);
    expect(await seen()).toEqual(before);
    await sweepToTheEnd(world, resources, newer);
    expect(await count(state, 3)).toBe(0);
    expect(await count(state, 4)).toBe(KEYS);
  });
});
