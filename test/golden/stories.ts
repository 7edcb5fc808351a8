/**
 * How the golden worlds came about, so that today's code can tell the same story: each stops with work under way, and
 * with every kind of item and object that there is.
 */
import { settled } from "../support/every-call.ts";
import { HOUR_MS, MINUTE_MS, type TestWorld, type WorldOptions } from "../support/test-world.ts";

export interface Story {
  readonly name: string;
  readonly options: WorldOptions;
  readonly splits: { readonly [split: string]: string };
  /** Partitions of the control table that it leaves items in besides control's and the splits'. */
  readonly partitions: readonly string[];
  readonly tell: (world: TestWorld) => Promise<void>;
}

const OPTIONS: WorldOptions = { triesMax: 3, retained: 1 };

/** Folded and written, and its invocation dead before the End. */
async function tryInPart(world: TestWorld, split: string, from: number, to: number): Promise<void> {
  const dying = world.start((call) => (call.step === `end ${split}` ? "dies before" : undefined));
  await settled(world.deliver(split, from, to, { process: dying }));
}

/** Checkpoint 1 deleted, 2 aborted, savepoint 3; a dead letter, put back; a tombstone; a record that fails. */
async function past(world: TestWorld): Promise<void> {
  await world.deliver("s", 1, 3);
  await world.deliver("t", 1, 2);
  await world.checkpoint();
  await world.deliver("s", 4, 5);
  await world.redriveLetters();
  await tryInPart(world, "t", 3, 3);
  await world.coordinate({ request: {}, deadlineMs: world.clock.now() + 2_000 });
  world.clock.ms += 11 * MINUTE_MS;
  await world.coordinate();
  await world.deliver("t", 3, 3);
  await world.checkpoint({ savepoint: "before-upgrade" });
  await world.checkpoint();
  await world.deliver("s", 6, 6);
  world.behaviour = { poison: ["t4"] };
  await settled(world.deliver("t", 4, 4));
  world.behaviour = {};
}

export const STORIES: readonly Story[] = [
  {
    name: "checkpoint-under-way",
    options: OPTIONS,
    splits: { s: "ab!AabadD", t: "bcbccb", u: "c" },
    partitions: ["SNAPSHOT#0000000005"],
    async tell(world) {
      await past(world);
      await tryInPart(world, "t", 4, 5);
      // Aligned but for t: what s folds from here on keeps its before-image.
      await world.coordinate({ request: {}, deadlineMs: world.clock.now() + 2_000 });
      await world.deliver("s", 7, 9);
      await world.deliverUntilDone("t", 4, 5);
      const halfway = world.start((call) =>
        call.step === "control.update SNAPSHOT#0000000005/log#0" ? "dies after" : undefined,
      );
      await settled(world.coordinate({ process: halfway, deadlineMs: world.clock.now() + HOUR_MS }));
      await tryInPart(world, "u", 1, 1);
    },
  },
  {
    name: "restore-loading",
    options: OPTIONS,
    splits: { s: "ab!Aab", t: "bcbccb" },
    partitions: ["LOAD#0000000002"],
    async tell(world) {
      await past(world);
      await world.request({ savepoint: "before-upgrade" });
      const dying = world.start((call) => (call.step === "flip control" ? "dies before" : undefined));
      await settled(world.carryOn({ process: dying }));
    },
  },
  {
    name: "restore-replaying",
    options: OPTIONS,
    splits: { s: "ab!Aab", t: "bcbccb" },
    partitions: ["LOAD#0000000002"],
    async tell(world) {
      await past(world);
      await world.request({ savepoint: "before-upgrade" });
      const dying = world.start((call) => (call.step === "run t" ? "dies before" : undefined));
      await settled(world.carryOn({ process: dying }));
    },
  },
  {
    name: "at-least-once",
    options: { ...OPTIONS, mode: "at-least-once" },
    splits: { s: "ab!aab", t: "bcbccb" },
    partitions: ["SNAPSHOT#0000000002"],
    async tell(world) {
      await world.deliver("s", 1, 4);
      await world.checkpoint();
      await world.deliver("t", 1, 3);
      const halfway = world.start((call) =>
        call.step === "control.update SNAPSHOT#0000000002/log#0" ? "dies after" : undefined,
      );
      await settled(world.coordinate({ request: {}, process: halfway }));
    },
  },
];
