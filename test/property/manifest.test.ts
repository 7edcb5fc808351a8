/**
 * Invariants:
 * - Every manifest is read back as it was written.
 * - A manifest with any one byte range cut off its end is refused by kind, never read as something else.
 * - So is one of which any single bit was flipped, unless it says the same all the same.
 * - Retention keeps the last `retained` live checkpoints and everything that is needed.
 */

import { test } from "vitest";
import { encodeManifest, type Manifest } from "../../shared/checkpoint/manifest.ts";
import { parseManifest } from "../../shared/checkpoint/parse-manifest.ts";
import { checkpointsToDelete } from "../../shared/checkpoint/retention.ts";
import { TidemarkError } from "../../shared/errors.ts";
import fc from "../support/properties.ts";

const iso = fc.integer({ min: 0, max: 4e12 }).map((ms) => new Date(ms).toISOString());
const cause = fc.constantFrom("dead-letter", "dropped", "expired");
/** Holes one after the other, and the position behind them. */
const cut = fc.uniqueArray(fc.string(), { minLength: 1, maxLength: 7 }).map((strings) => {
  const places = strings.toSorted();
  const position = places.pop() as string;
  const holes: { from: string; to: string }[] = [];
  for (let at = 0; at + 1 < places.length; at += 2) {
    holes.push({ from: places[at] as string, to: places[at + 1] as string });
  }
  return { position, holes };
});
const split = fc
  .record(
    {
      ...{ split: fc.string(), freshAt: iso, ended: fc.boolean(), cut, cause },
      startFrom: fc.oneof(fc.constant("earliest"), iso),
    },
    { requiredKeys: ["split", "freshAt", "ended", "cut", "cause"] },
  )
  .map(({ cut: { position, holes }, cause, ...rest }) => {
    return { ...rest, position, holes: holes.map((hole) => ({ cause, ...hole })) };
  });
const file = fc.record({
  name: fc.stringMatching(/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,30}$/),
  ...{ function: fc.constant("f"), items: fc.nat(1e6), bytes: fc.nat() },
  sha256: fc.stringMatching(/^[0-9a-f]{64}$/),
});
const manifests: fc.Arbitrary<Manifest> = fc
  .record({
    files: fc.uniqueArray(file, { maxLength: 4, selector: ({ name }) => name }),
    splits: fc.uniqueArray(split, { maxLength: 4, selector: (one) => one.split }),
    at: iso,
  })
  .map(({ files, splits, at }) => ({
    ...{ format: "tidemark-checkpoint", formatVersion: 1, kind: "manifest", app: "a", checkpoint: 9, token: "t" },
    ...{ generation: 2, mode: "exactly-once", triggeredAt: at, completedAt: at, files },
    functions: [
      {
        ...{ name: "f", stateVersion: 1, source: "s", splits },
        keys: files.reduce((sum, { items }) => sum + items, 0),
      },
    ],
  })) as fc.Arbitrary<Manifest>;

const PLACE = { app: "a", n: 9 };
const textOf = (manifest: Manifest): string => Buffer.from(encodeManifest(manifest)).toString("utf8");

test("a manifest reads back as it was written", () => {
  fc.assert(
    fc.property(manifests, (manifest) => {
      const read = parseManifest(textOf(manifest), PLACE);
      return JSON.stringify(sorted(read)) === JSON.stringify(sorted(manifest));
    }),
  );
});

test("a manifest that was cut short is refused", () => {
  fc.assert(
    fc.property(manifests, fc.integer({ min: 2, max: 5_000 }), (manifest, cut) => {
      const text = textOf(manifest);
      try {
        parseManifest(text.slice(0, Math.max(0, text.length - cut)), PLACE);
        return false;
      } catch (thrown) {
        return thrown instanceof TidemarkError && thrown.kind === "choose-another-checkpoint";
      }
    }),
  );
});

test("a manifest of which one bit was flipped is refused, or says the same", () => {
  fc.assert(
    fc.property(manifests, fc.nat(), (manifest, flipped) => {
      const bytes = Buffer.from(encodeManifest(manifest));
      const bit = flipped % (bytes.length * 8);
      bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
      try {
        const read = parseManifest(bytes.toString("utf8"), PLACE);
        return JSON.stringify(sorted(read)) === JSON.stringify(sorted(manifest));
      } catch (thrown) {
        return thrown instanceof TidemarkError && thrown.kind === "choose-another-checkpoint";
      }
    }),
    { numRuns: 2_000 },
  );
});

test("retention keeps the last live checkpoints and all that is needed", () => {
  const checkpoint = fc.record({ checkpoint: fc.nat(30), generation: fc.constantFrom(1, 2) });
  fc.assert(
    fc.property(
      fc.uniqueArray(checkpoint, { selector: (one) => one.checkpoint }),
      fc.integer({ min: 1, max: 5 }),
      fc.array(fc.nat(30)),
      (kept, retained, pinned) => {
        const isLive = (one: { generation: number }): boolean => one.generation === 2;
        const going = checkpointsToDelete({ kept, isLive, retained, needed: new Set(pinned) });
        const live = kept.filter(isLive).map((one) => one.checkpoint);
        const last = live.sort((a, b) => b - a).slice(0, retained);
        const oldest = last.at(-1) ?? 0;
        return kept.every(({ checkpoint: n }) => going.includes(n) === (n < oldest && !pinned.includes(n)));
      },
    ),
  );
});

/** Members in one order, at every depth. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, member]) => [name, sorted(member)]),
  );
}
