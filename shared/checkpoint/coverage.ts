/**
 * Which tombstones may go: those whose every `applied` position is at or before the position of a completed checkpoint
 * of the live generation that is older than any invocation (protocol §3). An event at or before such a position was
 * resolved longer ago than any handler lives, so that nobody folds it into the key once the tombstone is gone ◆.
 *
 * Invariant: the positions of the checkpoint that matures, and of the one that has matured, stay readable: retention
 * leaves them in the marker when it deletes either.
 */
import type { Control, Coverage } from "../control/control.ts";
import type { Position } from "../source/position.ts";
import { ABSENT, markedPosition, type StateItem } from "../state/state-item.ts";
import type { CheckpointStorage } from "../storage/checkpoint-storage.ts";
import { readUsableObject } from "./parse-manifest.ts";

/** Lambda ends an invocation after 15 minutes. */
const INVOCATION_MS_MAX = 15 * 60_000;

/** The one age that safety relies on: no invocation, and no request on its way, is older, by any clock's error. */
export const COVERAGE_AGE_MS = INVOCATION_MS_MAX + 60 * 60_000;

/** Says whether a tombstone may go. */
export type Covered = (functionName: string, item: StateItem) => boolean;

/** The coverage after checkpoint `completed` of generation `generation`. */
export function nextCoverage(
  previous: Coverage | undefined,
  completed: { readonly n: number; readonly generation: number; readonly atMs: number },
): Coverage {
  const { n, generation, atMs } = completed;
  const latest = { n, atMs };
  if (previous === undefined || previous.generation !== generation) return { generation, maturing: latest };
  if (atMs - previous.maturing.atMs < COVERAGE_AGE_MS) return previous;
  return { generation, maturing: latest, ready: previous.maturing };
}

/** Nothing may go while no checkpoint of the live generation is old enough, or its manifest cannot be used. One GET. */
export async function readCoverage(storage: CheckpointStorage, app: string, control: Control): Promise<Covered> {
  const { coverage } = control;
  const ready = coverage?.generation === control.gen ? coverage.ready : undefined;
  const found = ready && (await readUsableObject(storage, { app, n: ready.n }));
  if (found === undefined || found.object.kind === "aborted") return () => false;

  const positions = new Map<string, ReadonlyMap<string, Position>>();
  for (const { name, splits } of found.object.functions ?? []) {
    positions.set(name, new Map(splits.map(({ split, position }) => [split, position])));
  }
  return (functionName, item) => {
    const covering = positions.get(functionName);
    if (covering === undefined || item.state !== ABSENT) return false;
    return Object.entries(item.applied).every(([split, position]) => {
      const covered = covering.get(split);
      return covered !== undefined && markedPosition(position) <= covered;
    });
  };
}
