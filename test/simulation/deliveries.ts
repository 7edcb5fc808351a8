/** The event source mappings of a history: what they deliver, deliver again, and deliver in order. */
import { REDRIVE_SPLIT } from "../../shared/dead-letter/redrive-letter.ts";
import type { Invocations } from "./invocations.ts";
import type { Process } from "./process.ts";
import { FUNCTION } from "./recording-function.ts";
import type { Scene } from "./scene.ts";
import { numberAt, type SimulatedSplit } from "./simulated-source.ts";

/** An event source mapping on one split. */
interface Delivery {
  readonly mapping: number;
  readonly split: SimulatedSplit;
  /** Records up to here were answered as resolved. */
  cursor: number;
  busy: Process | undefined;
}

export class Deliveries {
  readonly #all: Delivery[] = [];
  readonly #scene: Scene;
  readonly #invocations: Invocations;
  #duplicatesLeft: number;

  constructor(scene: Scene, invocations: Invocations) {
    this.#scene = scene;
    this.#invocations = invocations;
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
  get areBehind(): boolean {
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

  deliverSome(): void {
    if (this.#scene.monitor.redriven > 0 && this.#scene.choices.chance(0.3) && this.deliverRedriven()) return;
    this.deliverNext(this.#scene.choices.below(this.#all.length));
  }

  /** The first that may be, from one on. */
  deliverNext(first = 0): void {
    for (let index = 0; index < this.#all.length; index += 1) {
      if (this.#deliver(this.#all[(first + index) % this.#all.length] as Delivery)) return;
    }
  }

  /** What an event source mapping does next on a split. */
  #deliver(delivery: Delivery): boolean {
    const { split, mapping, busy } = delivery;
    if (busy !== undefined && !busy.dead && !busy.stalled) return false;
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

  duplicate(): void {
    const { split, cursor } = this.#all[this.#scene.choices.below(this.#all.length)] as Delivery;
    if (this.#duplicatesLeft === 0 || cursor === 0) {
      this.deliverSome();
      return;
    }
    this.#duplicatesLeft -= 1;
    const from = 1 + this.#scene.choices.below(cursor);
    const to = Math.min(split.arrived, from + this.#scene.choices.below(this.#scene.setup.batchMax + 1));
    const records = this.#scene.source.records(split.split, from, to);
    if (records.length === 0) return;
    this.#scene.coverage.hit("a duplicate of resolved records");
    this.#invocations.start(
      "D",
      (process) => this.#invocations.fold(process, split.split, records),
      `${split.split}${from}..${to} comes again`,
    );
  }

  /** The engine's pump delivers what was put back. */
  deliverRedriven(): boolean {
    const position = this.#scene.monitor.splits.get(REDRIVE_SPLIT)?.position ?? "";
    if (Number(position) >= this.#scene.monitor.redriven) return false;
    if (this.#scene.processes.some(({ name, dead, stalled }) => name.startsWith("P") && !dead && !stalled)) return true;
    this.#scene.coverage.hit("a redriven record is delivered");
    this.#invocations.start(
      "P",
      async (process) => {
        const { reader } = this.#invocations.resources(process).sourceOf(FUNCTION);
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
