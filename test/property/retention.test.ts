/**
 * Invariants, for any past of an app: checkpoints of several generations, savepoints, aborted ones, pins, a restore under
 * way, numbers that retention had decided on before:
 * - No address is ever freed: what was decided once can never be decided again.
 * - The last `retained` checkpoints of the live lineage, savepoints, pinned checkpoints and the one that is being
 *   restored keep their manifest and every part it names.
 * - Of what is deleted no part stays, and applying retention again changes nothing.
 */

import { expect, test } from "vitest";
import type { AppResources } from "../../shared/app/app-resources.ts";
import { type CheckpointObject, encodeManifest, type Manifest } from "../../shared/checkpoint/manifest.ts";
import { applyRetention } from "../../shared/checkpoint/retention.ts";
import { path, value } from "../../shared/control/conditional-write.ts";
import { HeapControlStore } from "../../shared/control/heap/heap-control-store.ts";
import { CONTROL_KEY } from "../../shared/control/item-keys.ts";
import type { JsonValue } from "../../shared/json/json-value.ts";
import { readWhole } from "../../shared/storage/checkpoint-storage.ts";
import { MemoryCheckpointStorage } from "../../shared/storage/memory/memory-storage.ts";
import { checkpointFolder, manifestPath, partPath } from "../../shared/storage/object-paths.ts";
import fc from "../support/properties.ts";

const AT = "2026-01-01T00:00:00.000Z";
const PART = "f-00000-00000-t.json.gz";

interface Past {
  /** What became of checkpoint 1, 2, 3, …, and whether a restore to an earlier one came before it. */
  readonly checkpoints: readonly { readonly kind: "manifest" | "savepoint" | "aborted"; readonly restored: boolean }[];
  readonly retained: number;
  /** Which of them are pinned, being restored, or going already; indexes, taken round the list. */
  readonly pins: readonly number[];
  readonly restoring: number | undefined;
}

const pasts: fc.Arbitrary<Past> = fc.record({
  checkpoints: fc.array(
    fc.record({
      kind: fc.constantFrom("manifest" as const, "manifest" as const, "savepoint" as const, "aborted" as const),
      restored: fc.integer({ max: 4, min: 0 }).map((dice) => dice === 0),
    }),
    { minLength: 1, maxLength: 12 },
  ),
  retained: fc.integer({ min: 1, max: 4 }),
  pins: fc.array(fc.nat(11), { maxLength: 2 }),
  restoring: fc.option(fc.nat(11), { nil: undefined }),
});

interface Lived {
  readonly n: number;
  readonly kind: Past["checkpoints"][number]["kind"];
  readonly generation: number;
}

/** Each restore goes back to the first completed checkpoint of all: what came after it is abandoned. */
function live({ checkpoints }: Past) {
  const lived: Lived[] = [];
  let generation = 1;
  let origin: { readonly generation: number; readonly checkpoint: number } | undefined;
  for (const [index, { kind, restored }] of checkpoints.entries()) {
    const first = lived.find((one) => one.kind !== "aborted");
    if (restored && first !== undefined) {
      generation += 1;
      origin = { generation: first.generation, checkpoint: first.n };
    }
    lived.push({ n: index + 1, kind, generation });
  }
  return { lived, generation, origin };
}

async function build(past: Past) {
  const { lived, generation, origin } = live(past);
  const storage = new MemoryCheckpointStorage();
  for (const one of lived) {
    await storage.createExclusively(manifestPath(one.n), encodeManifest(objectOf(one, origin)));
    await storage.createExclusively(partPath(one.n, PART), Buffer.from("part"));
  }
  const numbered = (index: number): number => (index % lived.length) + 1;
  const restoring = past.restoring === undefined ? undefined : numbered(past.restoring);
  const control = new HeapControlStore();
  const item = {
    ...{ gen: generation, maxGen: generation + 1, phase: restoring === undefined ? "RUNNING" : "REPLAYING" },
    ...{
      epoch: lived.length,
      mode: "exactly-once",
      kept: lived.filter((one) => one.kind === "manifest").map(({ n }) => n),
    },
    pins: Object.fromEntries(past.pins.map((index, pin) => [`pin${pin}`, numbered(index)])),
    ...(origin === undefined ? {} : { restoredFrom: origin }),
    ...(restoring === undefined
      ? {}
      : { restore: { token: "r", target: generation + 1, checkpoint: restoring, startedAtMs: 0, functions: {} } }),
  };
  await control.update(CONTROL_KEY, {
    conditions: [],
    set: Object.entries(item).map(([name, content]) => [path(name), value(content as JsonValue)] as const),
  });
  const resources = {
    ...{ control, storage, clock: { now: () => 0 }, observe: () => {} },
    app: { name: "a", functions: [], checkpointing: { retained: past.retained } },
  } as unknown as AppResources;
  const needed = new Set([...past.pins.map(numbered), ...(restoring === undefined ? [] : [restoring])]);
  return { resources, storage, lived, generation, origin, needed };
}

function objectOf({ n, kind, generation }: Lived, restoredFrom: Manifest["restoredFrom"]): CheckpointObject {
  const all = {
    format: "tidemark-checkpoint",
    formatVersion: 1,
    app: "a",
    checkpoint: n,
    token: "t",
    generation,
  } as const;
  if (kind === "aborted") return { ...all, kind, reason: "it took too long", at: AT };
  const file = { name: PART, function: "f", items: 1, bytes: 4, sha256: "0".repeat(64) };
  return {
    ...{ ...all, kind: "manifest", mode: "exactly-once", triggeredAt: AT, completedAt: AT, files: [file] },
    ...(kind === "savepoint" ? { savepoint: "kept" } : {}),
    ...(generation > 1 && restoredFrom !== undefined ? { restoredFrom } : {}),
    functions: [{ name: "f", stateVersion: 1, source: "s", keys: 1, splits: [] }],
  };
}

async function objectsOf(storage: MemoryCheckpointStorage): Promise<Map<number, { kind: string; parts: number }>> {
  const objects = new Map<number, { kind: string; parts: number }>();
  for (let n = 1; n <= 12; n += 1) {
    const found = await readWhole(storage, manifestPath(n));
    let parts = 0;
    for await (const one of storage.list(checkpointFolder(n))) if (one.path !== manifestPath(n)) parts += 1;
    if (found !== undefined) objects.set(n, { kind: JSON.parse(found.text).kind, parts });
  }
  return objects;
}

test("retention frees no address, keeps what is needed whole, and leaves no part of what it deletes", async () => {
  let deletedEver = 0;
  await fc.assert(
    fc.asyncProperty(pasts, async (past) => {
      const { resources, storage, lived, generation, origin, needed } = await build(past);
      await applyRetention(resources, undefined);
      const after = await objectsOf(storage);
      expect([...after.keys()]).toEqual(lived.map(({ n }) => n));

      const isLive = (one: Lived): boolean =>
        one.generation === generation || (one.n <= (origin?.checkpoint ?? 0) && one.generation === origin?.generation);
      const newest = lived.filter((one) => one.kind === "manifest" && isLive(one)).slice(-past.retained);
      for (const one of lived) {
        const now = after.get(one.n);
        const kept = one.kind === "savepoint" || newest.includes(one) || needed.has(one.n);
        if (one.kind === "aborted") expect(now?.kind).toBe("aborted");
        else if (kept) expect(now).toEqual({ kind: "manifest", parts: 1 });
        else if (now?.kind === "deleted") {
          deletedEver += 1;
          expect(now.parts).toBe(0);
        }
        // A stalled coordinator that comes back cannot commit there.
        expect(await storage.createExclusively(manifestPath(one.n), Buffer.from("late"))).toBe("exists");
      }
      await applyRetention(resources, undefined);
      expect(await objectsOf(storage)).toEqual(after);
    }),
    { numRuns: 300 },
  );
  expect(deletedEver).toBeGreaterThan(100);
});
