/** The event source mappings of a history: what they deliver, deliver again, and deliver in order. */
import { REDRIVE_SPLIT } from "../../shared/dead-letter/redrive-letter.ts";
import type { Invocations } from "./invocations.ts";
import type { Process } from "./process.ts";
import type { Scene } from "./scene.ts";
import type { SimulatedMapping } from "./simulated-mapping.ts";
import { numberAt, type SimulatedSplit } from "./simulated-source.ts";
import type { Duty, Part, Turn } from "./turn.ts";

/** An event source mapping on one split. */
interface Delivery {
  readonly mapping: number;
  readonly split: SimulatedSplit;
  /** Records up to here were answered as resolved. */
  cursor: number;
  busy: Process | undefined;
}

export class Deliveries implements Part {
  readonly turns: readonly Turn[];
  readonly duties: readonly Duty[] = [() => this.#deliverRedriven(), () => this.deliverAll(), () => this.#areBehind];
  readonly #all: Delivery[] = [];
  readonly #scene: Scene;
  readonly #invocations: Invocations;
  /** The first mapping, where it can be turned off. */
  readonly #mapping: SimulatedMapping | undefined;
  #duplicatesLeft: number;

  constructor(scene: Scene, invocations: Invocations, mapping: SimulatedMapping | undefined) {
    this.#scene = scene;
    this.#invocations = invocations;
    this.#mapping = mapping;
    this.turns = [
      { weight: 9, begin: () => this.#deliverSome() },
      { weight: 2, begin: () => this.#duplicate() },
      {
        weight: scene.setup.deployment?.deliversAllTheSame === true ? 1 : 0,
        begin: () => this.#deliverSome(),
        reaction: () => (this.#mapping?.delivers === false ? 0.05 : 0),
      },
    ];
    if (mapping !== undefined) mapping.startedAgain = () => this.#startAgain();
    this.#duplicatesLeft = scene.setup.duplicates;
    for (let mapping = 0; mapping < scene.setup.mappings; mapping += 1) {
      for (const split of scene.source.splits.values()) {
        this.#all.push({ mapping, split, cursor: 0, busy: undefined });
      }
    }
  }

  /** What their mappings know, and who is at it: as text, for comparing. */
  get cursors(): string {
    return this.#all.map(({ cursor, busy }) => `${cursor}${busy?.dead === false ? busy.name : ""}`).join();
  }

  /** Some split is not yet delivered to its end; by the first mapping, as another only repeats what that has brought. */
  get #areBehind(): boolean {
    return this.#all.some(({ cursor, mapping, split }) => mapping === 0 && cursor < split.events.length);
  }

  /** @returns whether there was anything to deliver for the first mapping */
  deliverAll(): boolean {
    let any = false;
    for (const delivery of this.#all) {
      const delivers = this.#deliver(delivery);
      any ||= delivers && delivery.mapping === 0;
    }
    return any;
  }

  #deliverSome(): boolean {
    const { choices, monitor } = this.#scene;
    if (monitor.redriven > 0 && choices.chance(0.3) && this.#deliverRedriven()) return true;
    this.deliverNext(choices.below(this.#all.length));
    return true;
  }

  /** The first that may be, from one on. */
  deliverNext(first = 0): void {
    for (let index = 0; index < this.#all.length; index += 1) {
      if (this.#deliver(this.#all[(first + index) % this.#all.length] as Delivery)) return;
    }
  }

  /** The function's new name goes on from where the mappings were; what the old one still answers moves them no more. */
  moveTo(): void {
    for (const delivery of this.#all) delivery.busy = undefined;
  }

  /** One that was off may begin at an older point than it had come to. */
  #startAgain(): void {
    if (this.#scene.setup.deployment?.startsOver !== true) return;
    this.#scene.coverage.hit("a mapping starts over");
    for (const delivery of this.#all) {
      if (delivery.mapping === 0) delivery.cursor = this.#scene.choices.below(delivery.cursor + 1);
    }
  }

  /** Also where it was disabled by hand: somebody else delivers then. */
  #isOff(mapping: number): boolean {
    const { coverage, faultless, setup } = this.#scene;
    if (mapping > 0 || this.#mapping === undefined || this.#mapping.delivers) return false;
    if (setup.deployment?.offByHand === true) return false;
    if (faultless || setup.deployment?.deliversAllTheSame !== true) return true;
    coverage.hit("a mapping that is off delivers all the same");
    return false;
  }

  /** What an event source mapping does next on a split. */
  #deliver(delivery: Delivery): boolean {
    const { split, mapping, busy } = delivery;
    if (busy !== undefined && !busy.dead && !busy.stalled) return false;
    if (this.#isOff(mapping) || this.#scene.isRenaming) return false;
    if (!this.#mayBegin(delivery)) return false;
    const from = Math.max(delivery.cursor, split.expired) + 1;
    if (from > split.arrived) {
      delivery.cursor = Math.max(delivery.cursor, split.expired);
      return false;
    }
    // What is left then is more for a batch with a killer in it to be halved to.
    const to = this.#scene.faultless
      ? split.arrived
      : Math.min(split.arrived, from + this.#scene.choices.below(this.#scene.setup.batchMax));
    if (busy !== undefined) this.#scene.coverage.hit("a batch is delivered again");
    if (mapping > 0) this.#scene.coverage.hit("a batch by a second mapping");
    const records = this.#scene.source.records(split.split, from, to);
    const process = this.#invocations.start(
      "H",
      async (process) => {
        try {
          const { failedFrom } = await this.#invocations.fold(process, split.split, records);
          if (delivery.busy !== process) return;
          delivery.busy = undefined;
          delivery.cursor = failedFrom === undefined ? to : numberAt(failedFrom.position) - 1;
        } catch (thrown) {
          if (delivery.busy === process) delivery.busy = undefined;
          throw thrown;
        }
      },
      `mapping ${mapping} delivers ${split.split}${from}..${to}`,
    );
    delivery.busy = process;
    return true;
  }

  /** A mapping reads a split's children after all of the split. */
  #mayBegin({ split, mapping }: Delivery): boolean {
    if (!this.#scene.source.isBorn(split)) return false;
    return split.parents.every((parent) =>
      this.#all.some((one) => {
        return one.mapping === mapping && one.split.split === parent && one.cursor >= one.split.events.length;
      }),
    );
  }

  #duplicate(): boolean {
    const { split, cursor } = this.#all[this.#scene.choices.below(this.#all.length)] as Delivery;
    // Nothing is delivered to a function of a new name before the restore that takes its state over is recorded.
    if (this.#duplicatesLeft === 0 || cursor === 0 || this.#scene.isRenaming) return false;
    this.#duplicatesLeft -= 1;
    const from = 1 + this.#scene.choices.below(cursor);
    const to = Math.min(split.arrived, from + this.#scene.choices.below(this.#scene.setup.batchMax + 1));
    const records = this.#scene.source.records(split.split, from, to);
    if (records.length === 0) return true;
    this.#scene.coverage.hit("a duplicate of resolved records");
    this.#invocations.start(
      "D",
      (process) => this.#invocations.fold(process, split.split, records),
      `${split.split}${from}..${to} comes again`,
    );
    return true;
  }

  /** The engine's pump delivers what was put back. */
  #deliverRedriven(): boolean {
    // A deployment's coordinator does it there.
    if (!this.#scene.monitor.redrivenIsDue || this.#scene.setup.deployment !== undefined) return false;
    const position = this.#scene.monitor.splits.get(REDRIVE_SPLIT)?.position ?? "";
    if (this.#scene.processes.some(({ name, dead, stalled }) => name.startsWith("P") && !dead && !stalled)) return true;
    this.#scene.coverage.hit("a redriven record is delivered");
    this.#invocations.start(
      "P",
      async (process) => {
        const { reader } = this.#invocations.resources(process).sourceOf(process.functionName);
        const request = {
          split: REDRIVE_SPLIT,
          after: position,
          pageRecords: this.#scene.setup.batchMax,
          follow: false,
        };
        for await (const { records } of reader.read(request)) {
          if (records.length > 0) await this.#invocations.fold(process, REDRIVE_SPLIT, records);
          return;
        }
      },
      `redriven records after ${position || "the beginning"} are delivered`,
    );
    return true;
  }
}
