/** What happens in the demo, act by act. */
import { TidemarkError } from "../../../shared/errors.ts";
import { allStates } from "./all-states.ts";
import { type BadDeploy, deployBadVersion } from "./bad-deploy.ts";
import { readCheckpoint } from "./checkpoint-content.ts";
import { type Crash, crashInMidBatch } from "./crash.ts";
import { type Restored, restoreCheckpoint } from "./restored.ts";
import { HASH_CHAIN, ON_TIME, type Stage } from "./stage.ts";
import type { Computed } from "./verdict.ts";

export interface Apps {
  /** Modules of the good version and of the bad one. */
  readonly good: string;
  readonly buggy: string;
}

export interface Told {
  readonly crash: Crash;
  readonly bad: BadDeploy;
  readonly restored: Restored;
  readonly computed: Computed;
}

/** Checkpoints that have to complete while flights flow. */
export const CHECKPOINTS_MIN = 5;

export async function tellStory(stage: Stage, apps: Apps, temporaryFolder: string): Promise<Told> {
  const { feed, watch, narrator } = stage;
  narrator.act("1. Flights flow, and checkpoints complete.");
  feed.letIn(0.3);
  feed.start(() => watch.foldedByAll);
  await watch.until("the first checkpoints", () => watch.completedWhileFlowing >= 2);

  narrator.act("2. A worker is killed.");
  feed.letIn(0.45);
  const crash = await crashInMidBatch(stage);

  narrator.act("3. A bad version is deployed.");
  feed.letIn(0.7);
  const bad = await deployBadVersion(stage, apps.buggy);

  narrator.act(
    `4. Checkpoint ${bad.lastGood} is restored: the latest that completed before the bad version's first batch.`,
  );
  feed.letIn(0.85);
  const restored = await restoreCheckpoint(stage, bad.lastGood, apps.good);
  const checkpoint = await readCheckpoint(
    { storageUrl: stage.engine.storageUrl, app: stage.engine.app.name, checkpoint: bad.lastGood },
    temporaryFolder,
  );

  narrator.act("5. The rest of the flights.");
  feed.letIn(0.95);
  const before = watch.completed;
  await watch.until(
    "the checkpoints after the restore",
    () =>
      watch.completed > before &&
      (watch.completedWhileFlowing >= CHECKPOINTS_MIN || watch.foldedByAll >= feed.flights * 0.95),
  );
  feed.drain();
  await watch.until("the last flights", () => isAllFolded(stage));
  if (watch.completedWhileFlowing < CHECKPOINTS_MIN) {
    throw new TidemarkError(
      "retry",
      `Only ${watch.completedWhileFlowing} checkpoints completed while flights flowed; the demo is about at least ${CHECKPOINTS_MIN}. Run it again with more flights, or with a shorter --checkpoint-interval.`,
    );
  }
  narrator.say(`All ${feed.flights} flights are folded.`);
  await watch.look(stage.engine);
  return {
    crash,
    bad,
    restored,
    computed: {
      onTime: await allStates((cursor) => stage.engine.statePage(ON_TIME, cursor)),
      hashChain: await allStates((cursor) => stage.engine.statePage(HASH_CHAIN, cursor)),
      checkpoint,
    },
  };
}

function isAllFolded({ feed, watch }: Stage): boolean {
  return feed.toCome === 0 && watch.progress?.phase === "RUNNING" && watch.foldedByAll >= feed.flights;
}
