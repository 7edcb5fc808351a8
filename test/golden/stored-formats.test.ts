/**
 * What is stored outlives the code that stored it. Each golden world is all that one version of Tidemark left in its
 * stores with work under way, in files that never change: `worlds/<story>-<version>.json`.
 *
 * A change of a format makes a new file beside the older ones: TIDEMARK_GOLDEN=write npx vitest run test/golden
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { expectAllResolved, expectPromise, liveLogs } from "../support/oracle.ts";
import { TestWorld } from "../support/test-world.ts";
import { dump, fill, type StoredWorld } from "./stored-world.ts";
import { STORIES, type Story } from "./stories.ts";

const folder = join(import.meta.dirname, "worlds");

function versionsOf({ name }: Story): number[] {
  const found = readdirSync(folder).map((file) => new RegExp(`^${name}-(\\d+)\\.json$`).exec(file)?.[1]);
  return found
    .filter((version) => version !== undefined)
    .map(Number)
    .sort((a, b) => a - b);
}

const fileOf = ({ name }: Story, version: number): string => join(folder, `${name}-${version}.json`);
const read = (story: Story, version: number): StoredWorld => JSON.parse(readFileSync(fileOf(story, version), "utf8"));

async function told(story: Story): Promise<StoredWorld> {
  const world = new TestWorld(story.options);
  for (const [split, letters] of Object.entries(story.splits)) world.split(split, letters);
  await story.tell(world);
  return JSON.parse(JSON.stringify(await dump(world, story.splits, story.partitions)));
}

/** How well gzip compresses is not ours to promise. */
function comparable(stored: StoredWorld): unknown {
  const text = JSON.stringify(stored, (name, content) => (name === "bytes" || name === "sha256" ? undefined : content));
  return JSON.parse(text);
}

describe.each(STORIES)("the stored world of $name", (story) => {
  test("is written by today's code exactly as in the newest golden file", async () => {
    const now = await told(story);
    const newest = versionsOf(story).at(-1);
    if (process.env.TIDEMARK_GOLDEN === "write") {
      const same = newest !== undefined && isSame(read(story, newest), now);
      if (!same) writeFileSync(fileOf(story, (newest ?? 0) + 1), `${JSON.stringify(now, null, 1)}\n`);
    }
    expect(comparable(now)).toEqual(comparable(read(story, versionsOf(story).at(-1) ?? 0)));
  });

  test.each(versionsOf(story))("of version %i is brought to its end by today's code, exactly", async (version) => {
    const world = new TestWorld({ ...story.options, seed: 1_000 + version });
    await fill(world, read(story, version));
    await world.carryOn();
    await world.drain();
    await world.coordinate();
    await world.deliverRedriven();
    await expectKept(world);
    await world.checkpoint();
    await world.restore();
    await expectKept(world);
  });
});

async function expectKept(world: TestWorld): Promise<void> {
  await expectAllResolved(world);
  if (world.app.checkpointing.mode === "exactly-once") return expectPromise(world);
  // At least once: nothing is missing.
  const folded = [...(await liveLogs(world)).values()].flat();
  for (const [split, { values }] of world.source.splits) {
    for (const [index, event] of values.entries()) {
      if ("key" in (event as object)) expect(folded).toContain(`${split}${index + 1}`);
    }
  }
}

test("the golden worlds have every kind of item and object that is stored", () => {
  const kinds = new Set(
    STORIES.flatMap((story) => versionsOf(story).flatMap((version) => [...kindsIn(read(story, version))])),
  );
  expect([...kinds].sort()).toEqual(
    [
      ...["control", "split", "slice progress", "fuzzy position", "load progress"],
      ...["state", "before-image", "before-image of a key that was absent", "tombstone"],
      ...[
        "manifest",
        "aborted marker",
        "deleted marker",
        "generation record",
        "part",
        "dead letter",
        "redriven letter",
      ],
    ].sort(),
  );
});

function* kindsIn({ control, state, objects }: StoredWorld): Generator<string> {
  for (const partition of Object.keys(control)) {
    for (const sort of Object.keys(control[partition] ?? {})) yield kindOfItem(partition, sort);
  }
  for (const item of state) {
    yield item.cleared === undefined ? "state" : "tombstone";
    if (item.before !== undefined) yield "before-image";
    if (item.beforeAbsent !== undefined) yield "before-image of a key that was absent";
  }
  for (const [at, content] of Object.entries(objects)) yield kindOfObject(at, content);
}

function kindOfItem(partition: string, sort: string): string {
  if (partition.startsWith("SPLIT#")) return "split";
  if (partition.startsWith("SNAPSHOT#")) return sort.startsWith("CUT#") ? "fuzzy position" : "slice progress";
  return partition.startsWith("LOAD#") ? "load progress" : partition.toLowerCase();
}

function kindOfObject(at: string, content: unknown): string {
  if (at.endsWith(".gz")) return "part";
  if (at.startsWith("generations/")) return "generation record";
  if (at.startsWith("dead-letters/")) return "dead letter";
  if (at.startsWith("redrive/")) return "redriven letter";
  const { kind } = content as { readonly kind: string };
  return kind === "manifest" ? kind : `${kind} marker`;
}

const isSame = (one: StoredWorld, other: StoredWorld): boolean =>
  JSON.stringify(comparable(one)) === JSON.stringify(comparable(other));
