/**
 * Has the steps of a plan happen. Faults of the wire and of the disk begin when they are due, whatever else goes on.
 * Strikes at processes are one lane and commands another, each of one step at a time: a process is struck again only
 * after the app has moved since, or nothing would ever be in the middle of anything.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { actBeside } from "./beside.ts";
import { COMMAND_KINDS, isOneOf, type Step, WIRE_KINDS } from "./plan.ts";
import { strike } from "./strikes.ts";
import type { Weather } from "./weather.ts";
import type { World } from "./world.ts";

const POLL_MS = 300;
/** What does not move for so long is struck all the same. */
const MOVES_MS_MAX = 20_000;

type Lane = "processes" | "commands";

export class FaultLanes {
  private readonly world: World;
  private readonly lanes = new Map<Lane, Promise<void>>();
  private readonly apart = new Set<Promise<void>>();
  private finishing = false;
  private leftOut = 0;
  private digest: string | undefined;

  constructor(world: World) {
    this.world = world;
  }

  begin(step: Step): void {
    if (isOneOf(WIRE_KINDS, step.kind)) {
      this.world.say(inWords(step));
      this.world.weather.begin(step as Parameters<Weather["begin"]>[0]);
    } else if (isOneOf(COMMAND_KINDS, step.kind)) {
      this.queue("commands", () => this.carryOut(step, actBeside as Act));
    } else if (step.kind === "disk-full") {
      const apart = this.carryOut(step, strike as Act).finally(() => this.apart.delete(apart));
      this.apart.add(apart);
    } else {
      this.queue("processes", async () => {
        await this.moved();
        if (!this.isEnding) await this.carryOut(step, strike as Act);
        this.digest = this.world.watch.last?.digest;
      });
    }
  }

  /** Resolves when all that was begun is over; what has not had its turn by `untilMs` is left out. */
  async all(untilMs: number): Promise<void> {
    const finish = setTimeout(() => {
      this.finishing = true;
    }, untilMs - performance.now());
    await this.over();
    clearTimeout(finish);
    this.tellLeftOut();
  }

  /** The same, at once: a slow machine has not come to it. */
  async finish(): Promise<void> {
    this.finishing = true;
    await this.over();
    this.tellLeftOut();
  }

  private async over(): Promise<void> {
    await Promise.all([...this.lanes.values(), ...this.apart]);
  }

  private tellLeftOut(): void {
    this.finishing = false;
    if (this.leftOut > 0) this.world.say(`${this.leftOut} steps of the plan were left out: their turn never came.`);
    this.leftOut = 0;
  }

  private get isEnding(): boolean {
    return this.finishing || this.world.signal.aborted;
  }

  private queue(lane: Lane, act: () => Promise<void>): void {
    const before = this.lanes.get(lane) ?? Promise.resolve();
    this.lanes.set(
      lane,
      before.then(async () => {
        if (this.isEnding) this.leftOut += 1;
        else await act();
      }),
    );
  }

  private async moved(): Promise<void> {
    for (let waitedMs = 0; waitedMs < MOVES_MS_MAX && !this.isEnding; waitedMs += POLL_MS) {
      const look = await this.world.watch.look();
      if (look !== undefined && look.digest !== this.digest) return;
      await sleep(POLL_MS);
    }
  }

  private async carryOut(step: Step, act: Act): Promise<void> {
    const { differs, say } = this.world;
    say(inWords(step));
    try {
      if (!(await act(this.world, step))) say(`${inWords(step)}: missed`);
    } catch (thrown) {
      differs(`${inWords(step)} failed: ${thrown instanceof Error ? thrown.stack : String(thrown)}`);
    }
  }
}

type Act = (world: World, step: Step) => Promise<boolean>;

function inWords({ at: _, kind, ...parameters }: Step): string {
  return `${kind} ${JSON.stringify(parameters)}`;
}
