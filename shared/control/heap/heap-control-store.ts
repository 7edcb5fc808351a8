/** Control and split items in this process's memory: for the simulator, benchmarks and tests. */
import { applyWrite, holds } from "../apply-write.ts";
import { checkWrite } from "../check-write.ts";
import type { ConditionalWrite } from "../conditional-write.ts";
import type { ControlAttributes, ControlStore, ItemKey, UpdateAnswer } from "../control-store.ts";
import { compareUtf8 } from "../utf8-order.ts";

/** Attributes are kept and given out by reference; no write changes them in place, and no caller may. */
export class HeapControlStore implements ControlStore {
  readonly #partitions = new Map<string, Map<string, ControlAttributes>>();

  async get(key: ItemKey): Promise<ControlAttributes | undefined> {
    return this.#partitions.get(key.partition)?.get(key.sort);
  }

  async *list(
    partition: string,
  ): AsyncGenerator<{ readonly sort: string; readonly attributes: ControlAttributes }, void> {
    const sorts = [...(this.#partitions.get(partition)?.keys() ?? [])];
    for (const sort of sorts.sort(compareUtf8)) {
      const attributes = this.#partitions.get(partition)?.get(sort);
      if (attributes !== undefined) yield { sort, attributes };
    }
  }

  async update(key: ItemKey, write: ConditionalWrite): Promise<UpdateAnswer> {
    checkWrite(write);
    const before = this.#partitions.get(key.partition)?.get(key.sort);
    if (!holds(write.conditions, before)) return { applied: false };
    const after = applyWrite(write, before);
    const items = this.#partitions.get(key.partition) ?? new Map<string, ControlAttributes>();
    this.#partitions.set(key.partition, items.set(key.sort, after));
    return { applied: true, before, after };
  }

  async delete(key: ItemKey): Promise<void> {
    this.#partitions.get(key.partition)?.delete(key.sort);
  }
}
