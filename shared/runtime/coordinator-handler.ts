/** What runs in the coordinator function: no user code. Any invocation carries on what another left. */
import pMap from "p-map";
import { functionNamed } from "../app/app-description.ts";
import type { AppResources } from "../app/app-resources.ts";
import { type CoordinatorReport, runCoordinator } from "../checkpoint/coordinator.ts";
import type { CheckpointRequest } from "../checkpoint/savepoints.ts";
import type { Workers } from "../checkpoint/work.ts";
import { readControl } from "../control/control-steps.ts";
import { deliverRedriven, type RedriveInvoker } from "../dead-letter/deliver-redriven.ts";
import { type LetterChoice, type PutBack, putBackLetters } from "../dead-letter/put-back.ts";
import { type SkipChoice, type Skipping, skipRecords } from "../dead-letter/skip.ts";
import { carryOnRequest } from "../restore/ask-for-restore.ts";
import { carryOnRestore } from "../restore/carry-on.ts";
import type { EventSourceMappings } from "../restore/event-source-mappings.ts";
import type { ReplayInvoker } from "../restore/replay-invoker.ts";
import type { RestoreReport } from "../restore/restore-report.ts";
import { enableMappings } from "../restore/turn-mappings.ts";

export interface CoordinatorInvocation {
  /** No new piece of work is begun after this; ms since 1970. */
  readonly deadlineMs: number;
  /** Asks for a checkpoint now, due or not; with a name, for a savepoint. */
  readonly trigger?: CheckpointRequest;
  /** Puts dead letters of a function back, and does nothing else: a later run delivers them. */
  readonly redrive?: LetterChoice & { readonly function: string };
  /** Has splits pass over what they stand at, and does nothing else: their next batches do it. */
  readonly skip?: SkipChoice;
}

export type CoordinatorAnswer =
  | ({ readonly did: "redrive" } & PutBack)
  | ({ readonly did: "skip" } & Skipping)
  | { readonly did: "restore"; readonly restore: RestoreReport }
  | { readonly did: "checkpoint"; readonly checkpoint: CoordinatorReport };

export type CoordinatorHandler = (invocation: CoordinatorInvocation) => Promise<CoordinatorAnswer>;

export interface CoordinatorHandlerOptions {
  readonly replay: ReplayInvoker;
  /** Has event functions fold redriven dead letters. @default whoever feeds the functions delivers these as well */
  readonly redrive?: RedriveInvoker;
  /** The functions' event source mappings. @default there are none */
  readonly mappings?: EventSourceMappings;
  /** Who scans slices, checks and loads parts. @default this process */
  readonly workers?: Workers;
  /** How often splits are looked at while a barrier passes, in ms. @default runCoordinator's */
  readonly pollMs?: number;
  /** How long before its time a checkpoint counts as due, in ms: half of the schedule's period. @default 0 */
  readonly dueEarlyMs?: number;
}

/** Within a run no delivery of redriven letters is begun after so long: it must not put off the next run. */
const REDRIVE_MS = 30_000;
const REDRIVE_CONCURRENCY = 4;

/**
 * In this order: a restore that is asked for, one that is under way, mappings that one has left off, a checkpoint. Each
 * waits for the one before it. Beside the checkpoint redriven letters are delivered: neither may hold up the other, for
 * the checkpoint's barrier may wait for a batch of letters, and a letter may take as long as a function may.
 */
export function createCoordinatorHandler(
  resources: AppResources,
  options: CoordinatorHandlerOptions,
): CoordinatorHandler {
  const { replay, redrive, mappings, pollMs, workers, dueEarlyMs = 0 } = options;
  const shared = workers === undefined ? {} : { workers };
  return async ({ deadlineMs, trigger: request, redrive: letters, skip }) => {
    if (skip !== undefined) return { did: "skip", ...(await skipIn(resources, skip)) };
    if (letters !== undefined) return { did: "redrive", ...(await putBack(resources, letters, deadlineMs)) };
    let control = await readControl(resources.control);
    if (control?.requested !== undefined && control.requested.refused === undefined) {
      const restore = await carryOnRequest(resources, { deadlineMs, ...shared });
      if (restore.outcome === "unfinished") return { did: "restore", restore };
      control = await readControl(resources.control);
    }
    if (control?.phase === "REPLAYING") {
      const turning = mappings === undefined ? {} : { mappings };
      const restore = await carryOnRestore(resources, { deadlineMs, replay, ...turning, ...shared });
      return { did: "restore", restore };
    }
    if (control !== undefined && mappings !== undefined) await enableMappings(resources, control, mappings);
    const asked = request === undefined ? {} : { request };
    const polling = pollMs === undefined ? {} : { pollMs };
    const delivered =
      control === undefined || redrive === undefined ? undefined : deliver(resources, redrive, deadlineMs);
    try {
      const checkpoint = await runCoordinator(resources, { deadlineMs, dueEarlyMs, ...asked, ...polling, ...shared });
      return { did: "checkpoint", checkpoint };
    } finally {
      await delivered;
    }
  };
}

/** Never throws: what fails is told to the observer, and delivered again by the next run. */
async function deliver(resources: AppResources, invoke: RedriveInvoker, deadlineMs: number): Promise<void> {
  const { app, clock, sourceOf } = resources;
  const endsAtMs = Math.min(deadlineMs, clock.now() + REDRIVE_MS);
  const to = ({ name }: { readonly name: string }): Promise<void> =>
    deliverRedriven(resources, {
      ...{ function: name, source: sourceOf(name), invoke },
      ...{ deadlineMs: endsAtMs, triesMax: app.deadLetters.triesMax },
    });
  await pMap(app.functions, to, { concurrency: REDRIVE_CONCURRENCY });
}

/** @throws TidemarkError `fix-configuration` when the app has no such function; what `skipRecords` throws */
export async function skipIn(
  { app, control }: Pick<AppResources, "app" | "control">,
  choice: SkipChoice,
): Promise<Skipping> {
  functionNamed(app, choice.function);
  return skipRecords(control, choice);
}

async function putBack(
  { app, clock, storage }: AppResources,
  { function: name, ...choice }: LetterChoice & { readonly function: string },
  deadlineMs: number,
): Promise<PutBack> {
  return putBackLetters(storage, functionNamed(app, name), choice, { clock, deadlineMs });
}
