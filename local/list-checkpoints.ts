/** The checkpoints of a home's app, for people: from storage alone, so that it works without state and without a run. */
import {
  type CheckpointSummary,
  type LineageStretch,
  listCheckpoints,
  liveLineage,
  stretchesOf,
} from "../shared/checkpoint/lineage.ts";
import { readManifest } from "../shared/checkpoint/parse-manifest.ts";
import type { HomeApp } from "./open-home-app.ts";

export interface CheckpointLine {
  readonly checkpoint: number;
  readonly status: CheckpointSummary["status"];
  /** Whether the live generation descends from it; absent where that means nothing. */
  readonly lineage?: "live" | "abandoned";
  readonly generation?: number;
  readonly savepoint?: string;
  /** The checkpoint that has the savepoint's name now. */
  readonly replacedBy?: number;
  /** When it completed, was aborted or deleted; ISO 8601. */
  readonly time?: string;
  readonly reason?: string;
  readonly keys?: number;
  readonly bytes?: number;
  readonly holes?: number;
  readonly functions?: readonly {
    readonly name: string;
    readonly keys: number;
    readonly splits: readonly {
      readonly split: string;
      readonly position: string;
      readonly ended: boolean;
      readonly holes: readonly object[];
    }[];
  }[];
}

/** By number. Cost: a LIST of the storage for each thousand objects, and two GETs a checkpoint. */
export async function* listHomeCheckpoints(app: HomeApp): AsyncGenerator<CheckpointLine> {
  const storage = await app.storage();
  const { name } = app.settings.app;
  const live = await liveLineage(storage, name);
  const stretches: LineageStretch[] = [];
  if (live !== undefined) for await (const stretch of stretchesOf(storage, live)) stretches.push(stretch);

  for await (const summary of listCheckpoints(storage, name)) {
    const { checkpoint } = summary;
    switch (summary.status) {
      case "completed": {
        const { generation, keys, bytes, holes, savepoint, completedAt } = summary;
        const isLive = stretches.some((stretch) => stretch.generation === generation && checkpoint <= stretch.upTo);
        const manifest = await readManifest(storage, { app: name, n: checkpoint });
        yield {
          ...{ checkpoint, status: "completed", lineage: isLive ? "live" : "abandoned", generation },
          ...(savepoint === undefined ? {} : { savepoint }),
          ...{ time: completedAt, keys, bytes, holes },
          functions: manifest.functions.map((one) => ({
            name: one.name,
            keys: one.keys,
            splits: one.splits.map(({ split, position, ended, holes: missing }) => ({
              ...{ split, position, ended, holes: missing },
            })),
          })),
        };
        break;
      }
      case "aborted":
        yield {
          checkpoint,
          status: "aborted",
          generation: summary.generation,
          time: summary.at,
          reason: summary.reason,
        };
        break;
      case "deleted":
        yield { checkpoint, status: "deleted", generation: summary.generation, time: summary.at };
        break;
      case "unreadable":
        yield { checkpoint, status: "unreadable", reason: summary.reason };
    }
  }
}
