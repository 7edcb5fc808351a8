/** The checkpoint from before the bad version is restored, and what came after it is replayed by the good one. */
import { TidemarkError } from "../../../shared/errors.ts";
import { rowOfPosition } from "../../../shared/source/file/file-position.ts";
import { cutsOf } from "./checkpoint-content.ts";
import { ON_TIME, type Stage } from "./stage.ts";

export interface Restored {
  readonly checkpoint: number;
  readonly seconds: number;
  /** Flights replayed by `on-time`. */
  readonly replayedFlights: number;
  /** Flights that had not arrived when the restore began. */
  readonly toCome: number;
}

export async function restoreCheckpoint(stage: Stage, checkpoint: number, goodApp: string): Promise<Restored> {
  const { engine, watch, narrator, feed } = stage;
  await engine.redeploy(goodApp);
  const toCome = feed.toCome;
  narrator.say(`The good version is back. Restoring checkpoint ${checkpoint}; ${toCome} flights are still to come.`);
  const reached = new Map<string, number>();
  let finished = false;
  const deaf = watch.listen((event) => {
    if (event.type === "restore-finished" && event.checkpoint === checkpoint) finished = true;
    if (event.type === "split-replayed" && event.function === ON_TIME) {
      reached.set(event.split, rowOfPosition(event.position));
    }
  });
  const startedAtMs = performance.now();
  let seconds = 0;
  try {
    const { outcome } = await engine.restore({ checkpoint });
    if (outcome !== "finished") {
      throw new TidemarkError("retry", `The restore ended as ${outcome}; run the demo again.`);
    }
    seconds = (performance.now() - startedAtMs) / 1000;
    // Control says so a moment before the event does.
    await watch.until("the restore's last word", () => finished);
  } finally {
    deaf();
  }
  const { onTime } = await cutsOf({ storageUrl: engine.storageUrl, app: engine.app.name, checkpoint });
  const replayedFlights = [...reached].reduce(
    (sum, [split, row]) => sum + Math.max(0, row - (onTime.get(split) ?? row)),
    0,
  );
  narrator.say(`${replayedFlights} flights were replayed, and flights go on flowing: ${seconds.toFixed(1)} s in all.`);
  return { checkpoint, seconds, replayedFlights, toCome };
}
