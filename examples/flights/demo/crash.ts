/** A worker is killed in the middle of a batch while a checkpoint is under way. */
import { setTimeout as sleep } from "node:timers/promises";
import type { EngineEvent } from "../../../local/engine-event.ts";
import { TidemarkError } from "../../../shared/errors.ts";
import type { Stage } from "./stage.ts";

export interface Crash {
  readonly pid: number;
  /** The checkpoint that was under way. */
  readonly checkpoint: number;
  /**
   * `completed`: it was carried on with; `aborted`. `lost`: the process that died was the one that took it (heap), and
   * the next one restored an earlier checkpoint.
   */
  readonly outcome: "completed" | "aborted" | "lost";
  /** What the heap's next process restored by itself. */
  readonly recoveredFrom?: number;
}

interface Kill {
  readonly pid: number;
  readonly checkpoint: number;
  recoveredFrom: number | undefined;
}

const TRIES_MAX = 20;
/** How long the supervisor may take to say whose batch died, in ms. */
const TOLD_MS = 2_000;

/** @throws TidemarkError `retry` when no kill met a batch and an open checkpoint at once */
export async function crashInMidBatch(stage: Stage): Promise<Crash> {
  const { watch, narrator } = stage;
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const kill = await killAtBarrier(stage);
    if (kill === undefined) {
      narrator.say("It met no batch, or the checkpoint was just over; the next one.");
      continue;
    }
    return stage.backend === "heap" ? recovered(stage, kill) : carriedOn(stage, kill);
  }
  throw new TidemarkError(
    "retry",
    `${TRIES_MAX} kills missed: none met a batch and an open checkpoint at once. Run the demo again, with more flights. (${watch.completed} checkpoints completed.)`,
  );
}

/**
 * Kills when the first split passes the next checkpoint's barrier, which a worker does at the beginning of a batch.
 * @returns undefined when the checkpoint was over, or no batch in flight, by the time the process died
 */
async function killAtBarrier({ engine, backend, watch, narrator }: Stage): Promise<Kill | undefined> {
  let checkpoint: number | undefined;
  let killed: Promise<number | undefined> | undefined;
  let openAtDeath: boolean | undefined;
  let inMidBatch = backend === "heap";
  let recoveredFrom: number | undefined;
  let pid: number | undefined;
  const hear = (event: EngineEvent): void => {
    if (killed === undefined && event.type === "barrier" && watch.checkpoints.get(event.checkpoint) === "open") {
      checkpoint = event.checkpoint;
      killed = engine.killWorker("SIGKILL").then((which) => {
        pid = which;
        if (which !== undefined) {
          narrator.say(`SIGKILL to worker ${which}; checkpoint ${checkpoint} is under way.`);
        }
        return which;
      });
    } else if (event.type === "worker-ended" && event.pid === pid) {
      openAtDeath = checkpoint !== undefined && watch.checkpoints.get(checkpoint) === "open";
    } else if (event.type === "delivery-failed" && pid !== undefined && event.error.includes(`pid ${pid})`)) {
      inMidBatch = true;
    } else if (event.type === "restore-started" && openAtDeath !== undefined) {
      recoveredFrom = event.checkpoint;
    }
  };
  const deaf = watch.listen(hear);
  try {
    await watch.until("a barrier", () => killed !== undefined);
    if ((await killed) === undefined) return undefined;
    await watch.until("the end of a killed worker", () => openAtDeath !== undefined);
    if (backend === "heap") await watch.until("the recovery", () => recoveredFrom !== undefined);
    else for (let waitedMs = 0; !inMidBatch && waitedMs < TOLD_MS; waitedMs += 50) await sleep(50);
  } finally {
    deaf();
  }
  if (pid === undefined || checkpoint === undefined || openAtDeath !== true || !inMidBatch) return undefined;
  return { pid, checkpoint, recoveredFrom };
}

async function carriedOn({ watch, narrator }: Stage, { pid, checkpoint }: Kill): Promise<Crash> {
  await watch.until(`the outcome of checkpoint ${checkpoint}`, () => watch.checkpoints.get(checkpoint) !== "open");
  const outcome = watch.checkpoints.get(checkpoint) === "completed" ? "completed" : "aborted";
  narrator.say(
    `It died in the middle of a batch. Checkpoint ${checkpoint} was ${outcome === "completed" ? "carried on and completed" : "aborted"}.`,
  );
  return { pid, checkpoint, outcome };
}

async function recovered({ watch, narrator }: Stage, { pid, checkpoint, recoveredFrom }: Kill): Promise<Crash> {
  const before = watch.completed;
  narrator.say(
    `All state was on its heap: the next process restored checkpoint ${recoveredFrom} by itself and went on.`,
  );
  // The manifest may have been durable before the process could say so.
  const outcome = recoveredFrom === checkpoint ? "completed" : "lost";
  narrator.say(
    outcome === "completed"
      ? `Checkpoint ${checkpoint} had just become durable.`
      : `The checkpoint that was under way went with the process that took it.`,
  );
  await watch.until("a checkpoint after the recovery", () => watch.completed > before);
  return { pid, checkpoint, outcome, ...(recoveredFrom === undefined ? {} : { recoveredFrom }) };
}
