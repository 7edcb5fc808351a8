/**
 * Short random histories: deliveries of every shape by two mappings, faults of every kind, zombies, two coordinators,
 * restores of any checkpoint, births, poison; each call of each process in an order that the seed decides. What is
 * left is judged by the source alone. TIDEMARK_WALK_SEED runs one history again, TIDEMARK_WALKS as many as wanted.
 */
import { expect, it } from "vitest";
import type { Call, Fault } from "../support/faulty-stores.ts";
import { completedCheckpoints, expectAllResolved, expectExactlyOnce, expectPromise } from "../support/oracle.ts";
import { Scheduler } from "../support/scheduler.ts";
import { SeededRandomness } from "../support/seeded-randomness.ts";
import { MINUTE_MS, numberAt, TestWorld } from "../support/test-world.ts";

const WALKS = Number(process.env.TIDEMARK_WALKS ?? 200);
const FIRST_SEED = Number(process.env.TIDEMARK_WALK_SEED ?? 1);
const STEPS = 220;
const PROCESSES_MAX = 4;

const FAULTS: readonly Fault[] = [
  "refused",
  "answer lost",
  "sent twice",
  "delayed",
  "dies before",
  "dies after",
  "dies, delayed",
];

/** Keys a and b are shared; x, y and z belong to one split, which may clear it. */
const LETTERS: Readonly<Record<string, string>> = { s: "aabbxX!", t: "aabyYy", u: "abzZ" };

class Walk {
  readonly random: SeededRandomness;
  readonly world: TestWorld;
  readonly scheduler: Scheduler;
  readonly story: string[] = [];
  readonly faultiness: number;
  /** How far each mapping has come in each split. */
  readonly cursors = new Map<string, number>();

  constructor(seed: number) {
    this.random = new SeededRandomness(seed);
    this.world = new TestWorld({ seed, triesMax: 4, retained: 2 });
    this.scheduler = new Scheduler(this.random);
    this.faultiness = [0, 0.01, 0.04][this.random.below(3)] ?? 0;
    this.addSplit("s");
    this.addSplit("t");
    const poisonous = this.random.below(3) === 0;
    this.world.behaviour = poisonous
      ? { poison: [`s${1 + this.random.below(8)}`, `t${1 + this.random.below(8)}`] }
      : {};
  }

  addSplit(split: string): void {
    const letters = LETTERS[split] ?? "a";
    const length = 6 + this.random.below(10);
    this.world.split(split, Array.from({ length }, () => letters[this.random.below(letters.length)]).join(""));
  }

  #process() {
    return this.world.start((call: Call) => {
      if (this.random.fraction() >= this.faultiness) return undefined;
      const fault = FAULTS[this.random.below(FAULTS.length)];
      this.story.push(`  ${fault}: ${call.step}`);
      return fault;
    });
  }

  async begin(what: string, act: (process: ReturnType<TestWorld["start"]>) => Promise<unknown>): Promise<void> {
    if (this.scheduler.running >= PROCESSES_MAX) return;
    this.story.push(what);
    const process = this.#process();
    await this.scheduler.start(process, () => act(process));
  }

  async deliver(): Promise<void> {
    const splits = [...this.world.source.splits.keys()];
    const split = splits[this.random.below(splits.length)] ?? "s";
    const mapping = `${split}/${this.random.below(2)}`;
    const cursor = this.cursors.get(mapping) ?? 0;
    const from = Math.max(1, cursor + 1 - this.random.below(4));
    const to = Math.max(from, cursor + this.random.below(5));
    if (this.world.source.records(split, from, to).length === 0) return;
    await this.begin(`deliver ${mapping} ${from}..${to}`, async (process) => {
      const { failedFrom } = await this.world.deliver(split, from, to, { process });
      const last = Math.min(to, this.world.source.splits.get(split)?.values.length ?? 0);
      const reached = failedFrom === undefined ? last : numberAt(failedFrom.position) - 1;
      this.cursors.set(mapping, Math.max(this.cursors.get(mapping) ?? 0, reached));
    });
  }

  async act(): Promise<void> {
    const { world, random } = this;
    const dice = random.below(100);
    if (dice < 45) await this.deliver();
    else if (dice < 60) {
      const request = random.below(3) > 0 ? { request: {} } : {};
      const deadlineMs = world.clock.now() + 1_000 * (1 + random.below(20));
      await this.begin("coordinate", (process) => world.coordinate({ ...request, deadlineMs, process }));
    } else if (dice < 66) {
      const checkpoint = 1 + random.below(4);
      await this.begin(`restore ${checkpoint}`, async (process) => {
        // There may be no such checkpoint, or none any more.
        const asked = world.request({ checkpoint }, { process });
        await asked.catch((thrown: { readonly kind?: string }) => {
          if (thrown.kind !== "choose-another-checkpoint") throw thrown;
        });
        await world.carryOn({ process });
      });
    } else if (dice < 72) await this.begin("carry on", (process) => world.carryOn({ process }));
    else if (dice < 75 && !world.source.splits.has("u")) this.addSplit("u");
    else if (dice < 79) this.scheduler.hold(10 + random.below(150));
    else if (dice < 82 && this.faultiness > 0) this.scheduler.kill();
    else if (dice < 85) world.clock.ms += MINUTE_MS * random.below(12);
    else if (dice < 90) await this.arrive();
  }

  /** A call that was held back arrives. */
  async arrive(): Promise<void> {
    const { actors } = this.scheduler;
    await actors[this.random.below(actors.length)]?.process.releaseDelayed();
  }

  async run(): Promise<void> {
    for (let step = 0; step < STEPS; step += 1) {
      if (this.scheduler.running < 2 || this.random.below(8) === 0) await this.act();
      await this.scheduler.step();
    }
    while (await this.scheduler.step());
    for (const { process } of this.scheduler.actors) await process.releaseDelayed();
    await this.judge();
  }

  async judge(): Promise<void> {
    const { world } = this;
    await world.carryOn();
    await world.drain();
    await expectAllResolved(world);
    await expectPromise(world);
    await world.coordinate();
    const n = await world.checkpoint();
    expect(await completedCheckpoints(world)).toContain(n);
    await expectPromise(world);
    await world.restore();
    await expectExactlyOnce(world);
    await expectPromise(world);
  }
}

it(`${WALKS} random histories keep the promise`, async () => {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + WALKS; seed += 1) {
    const walk = new Walk(seed);
    try {
      await walk.run();
    } catch (thrown) {
      if (thrown instanceof Error) thrown.message = `seed ${seed}: ${thrown.message}\n${walk.story.join("\n")}`;
      throw thrown;
    }
  }
});

it("a seed gives one history, so that it can be run again", async () => {
  for (const seed of [7, 25]) {
    const walks = [new Walk(seed), new Walk(seed)];
    for (const walk of walks) await walk.run();
    const [one, two] = walks.map(({ story, scheduler }) => [story, scheduler.actors.map(({ process }) => process.log)]);
    expect(one).toEqual(two);
  }
});
