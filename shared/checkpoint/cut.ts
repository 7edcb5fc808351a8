/**
 * The cut of an exactly-once checkpoint: every split of every function passes barrier `n` (protocol §5, steps 1 and 2).
 *
 * Invariants:
 * - Splits are listed with strong reads after `control.epoch = n`: one that is not in the list is born into epoch `n`
 *   or later, and its beginning is its cut.
 * - Every write carries the generation and must raise the epoch ◆; a coordinator that finds control or a split ahead
 *   of `n`, or in another generation, stops ◆.
 * - Once a split is in epoch `n` its barrier stays until the checkpoint has its outcome, so that any invocation reads
 *   the same cut.
 */
import pMap from "p-map";
import { startAligning } from "../control/control-steps.ts";
import { droppedHole } from "../control/hole.ts";
import { allHoles, spillHoles } from "../control/hole-items.ts";
import { isClean, type Split } from "../control/split.ts";
import {
  askForBarrier,
  birth,
  giveUpTail,
  listSplits,
  moveIdle,
  readSplit,
  type SplitPlace,
} from "../control/split-steps.ts";
import { type CheckpointRun, type Interruption, readWhileOpen, SPLITS_CONCURRENCY } from "./checkpoint-run.ts";
import { freshAtBeginning, lookAtSplit, tailHasExpired } from "./look-at-split.ts";
import { cutFailing, holesAtCut, type SplitCut, unreadableAt } from "./split-cut.ts";

/** The source is asked whether a tried tail is still there at every so many polls: it costs calls that handlers need. */
const POLLS_PER_TAIL_CHECK = 10;

/** A split can change under the coordinator at most by one batch between two reads; more rounds wait for the next poll. */
const ROUNDS_PER_VISIT = 5;

/** A split on its way to the barrier. */
interface Approach {
  readonly place: SplitPlace;
  visits: number;
  looked: boolean;
  /** The look found that the source cannot be read. */
  unreadable?: boolean;
  cut?: SplitCut;
}

/**
 * Moves every split into epoch `n`; waits, polling, for those that a batch must move.
 * Costs a query a function, and for each split two small writes, a look at its source, and a read a poll while it is busy.
 */
export async function takeCut(run: CheckpointRun): Promise<SplitCut[] | Interruption> {
  const { clock, control } = run.resources;
  if (run.checkpoint.status === "TRIGGERED") await startAligning(control, run.checkpoint);
  const approaches = await listApproaches(run);
  for (;;) {
    if ((await readWhileOpen(run)) === undefined) return "superseded";
    const waiting = approaches.filter(({ cut }) => cut === undefined);
    let superseded = false;
    await pMap(
      waiting,
      async (approach) => {
        if (!superseded && (await visit(run, approach)) === "superseded") superseded = true;
      },
      { concurrency: SPLITS_CONCURRENCY, stopOnError: false },
    ).catch(throwFirst);
    if (superseded) return "superseded";
    const cuts = approaches.flatMap(({ cut }) => cut ?? []);
    if (cuts.length === approaches.length) return cuts;
    if (clock.now() + run.pollMs >= run.untilMs) return "unfinished";
    await clock.sleep(run.pollMs);
  }
}

/** All mappers have ended by now, so that none works on behind the caller's back; the first failure is the caller's. */
export function throwFirst(thrown: unknown): never {
  throw thrown instanceof AggregateError ? thrown.errors[0] : thrown;
}

async function listApproaches({ resources, checkpoint }: CheckpointRun): Promise<Approach[]> {
  const approaches: Approach[] = [];
  for (const { name } of resources.app.functions) {
    for await (const { split } of listSplits(resources.control, name)) {
      // A snapshot that is under way was looked for by the invocation that began it.
      approaches.push({ place: { function: name, split }, visits: 0, looked: checkpoint.status === "SNAPSHOTTING" });
    }
  }
  return approaches;
}

/** Takes one split as far as it goes now; sets its `cut` when it is in epoch `n`. */
async function visit(run: CheckpointRun, approach: Approach): Promise<"superseded" | "visited"> {
  const { resources, checkpoint, generation } = run;
  const { place } = approach;
  const { n } = checkpoint;
  const checkTail = approach.visits % POLLS_PER_TAIL_CHECK === 0;
  approach.visits += 1;

  for (let round = 0; round < ROUNDS_PER_VISIT; round += 1) {
    const split = await readSplit(resources.control, place);
    if (split === undefined) return "superseded";
    if (split === "unborn") {
      await bear(run, place);
      continue;
    }
    if (split.gen !== generation || split.epoch > n) return "superseded";
    if (split.epoch < n && split.pendingEpoch < n) {
      await askForBarrier(resources.control, place, { generation, n });
      continue;
    }
    const onRefused = (): void => {
      approach.unreadable = true;
    };
    const seen = approach.looked ? split : await lookAtSplit(resources, place, split, onRefused);
    approach.looked = true;
    if (seen.gen !== generation || seen.epoch > n) return "superseded";
    if (seen.epoch === n) {
      const cut = await cutOf(run, approach, seen);
      if (cut === undefined) return "superseded";
      approach.cut = cut;
      return "visited";
    }
    if (isClean(seen)) {
      const moved = await moveIdle(resources.control, place, { generation, n });
      if (moved !== undefined) {
        resources.observe({ type: "barrier", ...place, checkpoint: n, position: moved.position });
      }
      continue;
    }
    if (!checkTail || !(await tailHasExpired(resources, place, seen))) return "visited";
    const hole = droppedHole({ after: seen.position, to: seen.attemptedTo });
    const holes = await spillHoles(resources.control, place, seen, [...seen.holes, hole]);
    const given = await giveUpTail(resources.control, place, seen, holes);
    if (given === undefined) return "visited";
    resources.observe({ type: "hole", ...place, epoch: given.epoch, generation, hole });
  }
  return "visited";
}

/** ◆ Births an unborn split into what control says now: `birth` reads it after the split was seen unborn. */
async function bear({ resources }: CheckpointRun, place: SplitPlace): Promise<void> {
  const { app, control, observe } = resources;
  const startTimeMs = app.functions.find(({ name }) => name === place.function)?.startTimeMs;
  await birth(control, place, {
    mode: app.checkpointing.mode,
    freshAtMs: await freshAtBeginning(resources, place),
    startTimeMs,
  });
  observe({ type: "born", ...place });
}

/** Undefined: the barrier is gone, because the checkpoint has its outcome already. */
async function cutOf(
  { resources, checkpoint: { n } }: CheckpointRun,
  { place, unreadable }: Approach,
  split: Split,
): Promise<SplitCut | undefined> {
  const position = split.barriers[n];
  const freshAtMs = split.barrierFreshAt[n];
  if (position === undefined || freshAtMs === undefined) return undefined;
  const holes = holesAtCut(await allHoles(resources.control, place, split), position);
  const { startTimeMs, takenBy } = split;
  return {
    ...{ position, freshAtMs, startTimeMs, takenBy, holes, ...place },
    failing: unreadable === true ? unreadableAt(position, resources.clock.now()) : cutFailing(split),
    ended: split.ended === true && split.position === position,
  };
}
