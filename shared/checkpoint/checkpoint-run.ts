/** What one invocation knows of the checkpoint that it drives. */
import type { AppResources } from "../app/app-resources.ts";
import type { CheckpointRecord, Control } from "../control/control.ts";
import { readControl } from "../control/control-steps.ts";

export interface CheckpointRun {
  readonly resources: AppResources;
  /** The checkpoint as control had it when this invocation took it up. */
  readonly checkpoint: CheckpointRecord;
  /** The generation that is live while the checkpoint is open: no restore begins meanwhile. */
  readonly generation: number;
  /** This invocation works on the checkpoint until then: its own deadline, or the checkpoint's timeout. */
  readonly untilMs: number;
  readonly pollMs: number;
}

/** How a step of a checkpoint ended besides being done. */
export type Interruption =
  /** Time was up; the next invocation carries on. */
  | "unfinished"
  /** ◆ Control or a split has gone on without this invocation, which stops and reads control afresh. */
  | "superseded";

/** Control while checkpoint `run.checkpoint` is open in the generation it began in; undefined: it no longer is. */
export async function readWhileOpen({
  resources,
  checkpoint,
  generation,
}: CheckpointRun): Promise<Control | undefined> {
  const control = await readControl(resources.control);
  const open =
    control?.checkpoint?.open === true &&
    control.checkpoint.n === checkpoint.n &&
    control.checkpoint.token === checkpoint.token &&
    control.epoch === checkpoint.n &&
    control.gen === generation;
  return open ? control : undefined;
}

/** How many splits are asked at a time. */
export const SPLITS_CONCURRENCY = 8;
