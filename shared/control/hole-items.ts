/**
 * Where holes go that outgrow their split's item.
 *
 * Invariant: an item of holes is written before the split item names it, under a name that its content decides, so
 * that a repeat or a rival never changes what a name means, and a crash leaves at most an item that nothing names.
 */
import { createHash } from "node:crypto";
import type { JsonValue } from "../json/json-value.ts";
import { path, value } from "./conditional-write.ts";
import type { ControlStore } from "./control-store.ts";
import type { Hole } from "./hole.ts";
import { holesPartition } from "./item-keys.ts";
import type { Split } from "./split.ts";
import type { SplitPlace } from "./split-steps.ts";

/** Past this, holes move out of the split item: it is written twice a batch, each time for a write unit a KB, and a checkpoint reads them once. */
export const INLINE_HOLES_BYTES_MAX = 10_000;

/** A hole takes some 200 bytes, two positions of a Kinesis shard and their names: half of what an item takes. */
const HOLES_PER_ITEM_MAX = 1_000;

export interface StoredHoles {
  readonly inline: readonly Hole[];
  /** The items of their own that hold the earlier ones, in order. */
  readonly items: readonly string[];
}

/** The holes as a split item may hold them; writes them to items of their own first when they are too many. */
export async function spillHoles(
  store: ControlStore,
  place: SplitPlace,
  split: Pick<Split, "gen" | "holeItems">,
  holes: readonly Hole[],
): Promise<StoredHoles> {
  const content = JSON.stringify(holes);
  if (content.length <= INLINE_HOLES_BYTES_MAX) return { inline: holes, items: split.holeItems };
  const items = [...split.holeItems];
  // A batch of 10,000 records may bring 5,000 holes at once.
  for (let start = 0; start < holes.length; start += HOLES_PER_ITEM_MAX) {
    const chunk = holes.slice(start, start + HOLES_PER_ITEM_MAX);
    const name = createHash("sha256").update(JSON.stringify(chunk)).digest("base64url");
    await store.update(
      { partition: holesPartition(place.function, place.split, split.gen), sort: name },
      { conditions: [], set: [[path("holes"), value(chunk as unknown as JsonValue)]] },
    );
    items.push(name);
  }
  return { inline: [], items };
}

/** Stores the holes of a manifest for a restored split, in as many items as they need. */
export async function storeHoles(
  store: ControlStore,
  place: SplitPlace,
  generation: number,
  holes: readonly Hole[],
): Promise<StoredHoles> {
  let stored: StoredHoles = { inline: [], items: [] };
  for (let start = 0; start < holes.length; start += HOLES_PER_ITEM_MAX) {
    const next = [...stored.inline, ...holes.slice(start, start + HOLES_PER_ITEM_MAX)];
    stored = await spillHoles(store, place, { gen: generation, holeItems: stored.items }, next);
  }
  return stored;
}

/** Every hole of a split, in order. */
export async function allHoles(store: ControlStore, place: SplitPlace, split: Split): Promise<Hole[]> {
  const holes: Hole[] = [];
  const partition = holesPartition(place.function, place.split, split.gen);
  for (const name of split.holeItems) {
    const item = await store.get({ partition, sort: name });
    holes.push(...((item?.holes ?? []) as unknown as Hole[]));
  }
  return [...holes, ...split.holes];
}
