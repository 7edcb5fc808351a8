import { describe, expect, test } from "vitest";
import type { Control } from "../../../shared/control/control.ts";
import type { Carrier } from "../../../shared/restore/carrier.ts";
import type { EventSourceMappings, MappingLook } from "../../../shared/restore/event-source-mappings.ts";
import { CARRIER_MS_MAX, disableMappings, enableMappings } from "../../../shared/restore/turn-mappings.ts";
import { MINUTE_MS, TestWorld } from "../../support/test-world.ts";

/** As the test sets them; one that is turned is settled after so many looks. */
class Mappings implements EventSourceMappings {
  readonly functions: readonly string[];
  readonly turns: string[] = [];
  readonly looks: Record<string, MappingLook | undefined>;
  settlesAfter = 0;
  refusing: readonly string[] = [];

  constructor(on: Record<string, boolean | undefined>) {
    this.functions = Object.keys(on);
    this.looks = Object.fromEntries(
      Object.entries(on).map(([name, one]) => [
        name,
        one === undefined ? undefined : { on: one, settled: true, drift: [] },
      ]),
    );
  }

  async look(name: string): Promise<MappingLook | undefined> {
    const look = this.looks[name];
    if (look !== undefined && !look.settled && --this.settlesAfter <= 0) this.looks[name] = { ...look, settled: true };
    return look;
  }

  async turn(name: string, to: "on" | "off"): Promise<void> {
    if (this.refusing.includes(name)) throw new Error(`${name} is changing`);
    this.turns.push(`${name} ${to}`);
    this.looks[name] = { on: to === "on", settled: this.settlesAfter === 0, drift: [] };
  }
}

/** A restore that is recorded. */
async function restoring(): Promise<TestWorld> {
  const world = new TestWorld();
  world.split("s", "aa");
  await world.deliver("s", 1, 1);
  await world.checkpoint();
  await world.request();
  world.clock.slept.length = 0;
  return world;
}

async function disabled(
  world: TestWorld,
  mappings: Mappings | undefined,
  { forMs = 60 * MINUTE_MS, token = "", process = world.main } = {},
) {
  const { restore } = await world.control();
  const carrier = {
    ...{ resources: world.resources(process), plan: { ...restore, ...(token === "" ? {} : { token }) } },
    ...{ deadlineMs: world.clock.ms + forMs, mappings },
  };
  return disableMappings(carrier as unknown as Carrier);
}

const owed = async (world: TestWorld) => Object.keys((await world.control()).mappingsOff ?? {});

describe("a restore that begins", () => {
  test("turns off what is on, and leaves what is off or gone to whoever that was", async () => {
    const world = await restoring();
    const mappings = new Mappings({ a: true, b: false, c: undefined, d: true });
    expect(await disabled(world, mappings)).toBe("done");
    expect(mappings.turns).toEqual(["a off", "d off"]);
    expect(await owed(world)).toEqual(["a", "d"]);
    expect(world.clock.slept).toEqual([]);
  });

  test("turns off again what it owes and finds on, and only that", async () => {
    const world = await restoring();
    const mappings = new Mappings({ a: true, d: true });
    await disabled(world, mappings);
    mappings.looks.d = { on: true, settled: true, drift: [] };
    mappings.turns.length = 0;
    expect(await disabled(world, mappings)).toBe("done");
    expect(mappings.turns).toEqual(["d off"]);
    expect(await owed(world)).toEqual(["a", "d"]);
    mappings.looks.d = { on: true, settled: true, drift: [] };
    const process = world.start();
    await disabled(world, mappings, { process });
    expect(process.log.filter((step) => step.startsWith("owe"))).toEqual([]);
  });

  test("has nothing to turn off where there are no mappings", async () => {
    expect(await disabled(await restoring(), undefined)).toBe("done");
  });

  test("waits until all are off for good, two seconds at a time", async () => {
    const world = await restoring();
    const mappings = new Mappings({ off: false, gone: undefined, a: true });
    mappings.settlesAfter = 3;
    expect(await disabled(world, mappings)).toBe("done");
    expect(world.clock.slept).toEqual([2_000, 2_000, 2_000]);
  });

  test("waits for one that is on again, five minutes from its start at the most", async () => {
    const world = await restoring();
    const mappings = new Mappings({ a: true });
    mappings.turn = async () => {};
    expect(await disabled(world, mappings)).toBe("done");
    expect(world.clock.slept).toHaveLength((5 * MINUTE_MS) / 2_000);
  });

  test("stops waiting at its deadline, and where another restore was recorded", async () => {
    const world = await restoring();
    const mappings = new Mappings({ a: true });
    mappings.settlesAfter = 100;
    expect(await disabled(world, mappings, { forMs: 3_000 })).toBe("unfinished");
    expect(world.clock.slept).toHaveLength(2);
    expect(await disabled(world, new Mappings({ a: true }), { token: "other" })).toBe("superseded");

    // The same checkpoint, but held: another restore.
    world.clock.planned.push(() => world.request({ checkpoint: 1, until: { arrivedByMs: world.clock.ms } }));
    expect(await disabled(world, mappings)).toBe("superseded");
  });
});

describe("what a restore has turned off", () => {
  /** Owed by a restore that finished so long ago. */
  async function owing(names: readonly string[], agoMs: number, more: Partial<Control> = {}) {
    const world = await restoring();
    await disabled(world, new Mappings(Object.fromEntries(names.map((name) => [name, true]))));
    await world.carryOn();
    world.clock.ms += agoMs;
    const control = { ...(await world.control()), ...more };
    return { world, enable: (mappings: Mappings) => enableMappings(world.resources(), control, mappings) };
  }

  test("is turned on again, and forgotten only once it is on and no carrier can be alive any more", async () => {
    const { world, enable } = await owing(["a", "b"], CARRIER_MS_MAX);
    const mappings = new Mappings({ a: false, b: true });
    await enable(mappings);
    expect(mappings.turns).toEqual(["a on"]);
    expect(await owed(world)).toEqual(["a", "b"]);
    await enable(mappings);
    expect(mappings.turns).toEqual(["a on"]);
    expect(await owed(world)).toEqual([]);

    const early = await owing(["a"], CARRIER_MS_MAX - 1);
    await early.enable(new Mappings({ a: true }));
    expect(await owed(early.world)).toEqual(["a"]);
  });

  test("is not turned on while it is on its way, nor forgotten", async () => {
    const { world, enable } = await owing(["a"], CARRIER_MS_MAX);
    const mappings = new Mappings({ a: true });
    mappings.looks.a = { on: true, settled: false, drift: [] };
    mappings.settlesAfter = 9;
    await enable(mappings);
    expect(mappings.turns).toEqual([]);
    expect(await owed(world)).toEqual(["a"]);
  });

  test("is forgotten where its function, or its mapping, is gone", async () => {
    const { world, enable } = await owing(["a", "b"], CARRIER_MS_MAX);
    await enable(new Mappings({ b: undefined }));
    expect(await owed(world)).toEqual([]);
  });

  test("does not wait for another that refuses, which is told", async () => {
    const { world, enable } = await owing(["a", "b"], CARRIER_MS_MAX);
    const mappings = new Mappings({ a: false, b: false });
    mappings.refusing = ["a"];
    await enable(mappings);
    expect(mappings.turns).toEqual(["b on"]);
    expect(world.ofType("mapping-failed")).toEqual([
      { type: "mapping-failed", function: "a", error: "Error: a is changing" },
    ]);
    expect(await owed(world)).toEqual(["a", "b"]);
  });

  test("stays off while a restore is under way, and nobody asks where nothing is owed", async () => {
    const { enable } = await owing(["a"], CARRIER_MS_MAX, { phase: "REPLAYING" });
    const mappings = new Mappings({ a: false });
    await enable(mappings);
    expect(mappings.turns).toEqual([]);
    const none = await owing([], CARRIER_MS_MAX);
    const read = none.world.main.calls;
    await none.enable(mappings);
    expect(none.world.main.calls).toBe(read);
  });
});
