/**
 * Pre-flight of a restore that was asked for, a stretch at a time: which parts were read through stands in the control
 * table, so that any invocation, and any number of workers, goes on where another ended.
 *
 * Invariant: a part is noted only after every byte of it was read; what was noted is what the refusal is made of.
 *
 * Cost: one GET a part, one small write a part, besides the cheap checks at every call.
 */
import pMap from "p-map";
import type { AppResources } from "../app/app-resources.ts";
import type { Manifest } from "../checkpoint/manifest.ts";
import { type CheckWork, handOut, type WorkAnswer, type Workers } from "../checkpoint/work.ts";
import { path, value } from "../control/conditional-write.ts";
import { readControl } from "../control/control-steps.ts";
import type { ControlStore } from "../control/control-store.ts";
import { checkPartition } from "../control/item-keys.ts";
import type { JsonValue } from "../json/json-value.ts";
import type { Problem } from "./cheap-checks.ts";
import { checkPart, checkWorkOf, type PreflightReport, preflightWithoutParts, refusal } from "./pre-flight.ts";

export interface CheckStretch {
  /** Of the request. */
  readonly token: string;
  /** No part is begun after this; ms since 1970. */
  readonly deadlineMs: number;
  readonly allowNonRestoredState: boolean;
  /** Who reads the parts; absent: this process. */
  readonly workers?: Workers;
  /** Parts read at a time by this process. */
  readonly partConcurrency: number;
}

/** @throws TidemarkError as `preflight` does, once every part has been read */
export async function checkStretch(
  resources: AppResources,
  manifest: Manifest,
  stretch: CheckStretch,
): Promise<PreflightReport | "unfinished" | "superseded"> {
  const { control, clock, randomness } = resources;
  const { token, deadlineMs: untilMs, workers } = stretch;
  const { report, files } = await preflightWithoutParts(resources, manifest, stretch);
  const checked = await checkedParts(control, token);
  const left = files.filter(({ name }) => !checked.has(name));
  let outcome: "done" | "unfinished" | "superseded" = "done";
  await pMap(
    left,
    async (file) => {
      if (outcome !== "done") return;
      const work: CheckWork = { work: "check", token, ...checkWorkOf(manifest, file) };
      const answer =
        workers === undefined
          ? await runCheckWork(resources, work, untilMs)
          : await handOut(workers.invoke, work, { clock, randomness, untilMs });
      if (answer.outcome !== "done") outcome = answer.outcome === "superseded" ? "superseded" : "unfinished";
    },
    { concurrency: workers?.count ?? stretch.partConcurrency },
  );
  if (outcome !== "done") return outcome;
  const all = await checkedParts(control, token);
  if (files.some(({ name }) => !all.has(name))) return "unfinished";
  const problems = [...all.values()].filter((problem) => problem !== undefined);
  if (problems.length > 0) throw await refusal(resources, manifest, problems, stretch);
  return report;
}

/** What a worker does: reads one part through and notes what it found. A crash leaves nothing; the part is read again. */
export async function runCheckWork(
  resources: AppResources,
  work: CheckWork,
  deadlineMs: number,
): Promise<WorkAnswer & { readonly outcome: "done" | "unfinished" | "superseded" }> {
  if (resources.clock.now() >= deadlineMs) return { outcome: "unfinished" };
  const { requested } = (await readControl(resources.control)) ?? {};
  if (requested?.token !== work.token || requested.refused !== undefined) return { outcome: "superseded" };
  const problem = await checkPart(resources, work);
  await resources.control.update(
    { partition: checkPartition(work.token), sort: work.file.name },
    { conditions: [], set: [[path("problem"), value((problem ?? null) as unknown as JsonValue)]] },
  );
  return { outcome: "done" };
}

/** The parts that were read through, by name, each with what is wrong with it. */
export async function checkedParts(control: ControlStore, token: string): Promise<Map<string, Problem | undefined>> {
  const parts = new Map<string, Problem | undefined>();
  for await (const { sort, attributes } of control.list(checkPartition(token))) {
    parts.set(sort, (attributes.problem as unknown as Problem | null) ?? undefined);
  }
  return parts;
}

/** Forgets what was checked: the restore is recorded, refused, or another took its place. */
export async function forgetChecks(control: ControlStore, token: string): Promise<void> {
  for (const sort of (await checkedParts(control, token)).keys()) {
    await control.delete({ partition: checkPartition(token), sort });
  }
}
