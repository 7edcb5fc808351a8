/** The checks of a checkpoint that read no part: fit for looking through several checkpoints. */
import pMap from "p-map";
import type { AppResources } from "../app/app-resources.ts";
import type { Manifest } from "../checkpoint/manifest.ts";
import { listSplits } from "../control/split-steps.ts";
import { BEGINNING, laterOf, type Position } from "../source/position.ts";
import { checkpointFolder, partPath } from "../storage/object-paths.ts";
import { matchFunctions, type RestoredFunction, restoredFunctions } from "./restored-functions.ts";

/** A reason not to restore, as a clause, and what else than another checkpoint would help. */
export interface Problem {
  readonly kind: "choose-another-checkpoint" | "fix-configuration";
  readonly text: string;
  readonly wayOut?: string;
}

const LOOK_CONCURRENCY = 8;

export interface CheckOptions {
  /** Leave the state of functions behind that the app no longer has (Flink's name). @default false - refused */
  readonly allowNonRestoredState?: boolean;
  /**
   * Nothing was read since the cut, so nothing is replayed: whoever reads on says of each split of a source that keeps its
   * records for ever whether it can be. @default false - they are looked at
   */
  readonly nothingRead?: boolean;
}

/** What stands against restoring a checkpoint, as far as can be told without reading its parts. */
export async function checkCheaply(
  resources: AppResources,
  manifest: Manifest,
  options: CheckOptions,
): Promise<Problem[]> {
  const { functions } = matchFunctions(resources.app, manifest);
  const restored = restoredFunctions(resources.app, manifest, functions);
  return [
    ...functionProblems(resources, manifest, restored, options.allowNonRestoredState ?? false),
    ...(await fileProblems(resources, manifest, restored)),
    ...(await sourceProblems(resources, manifest, restored, options)),
  ];
}

function functionProblems(
  { app }: AppResources,
  manifest: Manifest,
  restored: readonly RestoredFunction[],
  allowNonRestoredState: boolean,
): Problem[] {
  const problems: Problem[] = [];
  for (const { description, from } of restored) {
    if (from === undefined || from.stateVersion <= description.stateVersion) continue;
    problems.push({
      kind: "fix-configuration",
      text: `function ${description.name} has state of version ${from.stateVersion} in it, and this code knows version ${description.stateVersion}`,
      wayOut: "Deploy the code that wrote it, or later.",
    });
  }
  if (allowNonRestoredState) return problems;
  for (const name of matchFunctions(app, manifest).leftBehind) {
    problems.push({
      kind: "fix-configuration",
      text: `it has state of function ${name}, which the app does not have`,
      wayOut:
        "Give the function back, name its successor's previousName, or allow non-restored state to leave it behind.",
    });
  }
  return problems;
}

/** Every file that would be loaded is there with its bytes; that the counts agree was checked when the manifest was read. */
async function fileProblems(
  { storage }: AppResources,
  manifest: Manifest,
  restored: readonly RestoredFunction[],
): Promise<Problem[]> {
  const stored = new Map<string, number>();
  for await (const { path, bytes } of storage.list(checkpointFolder(manifest.checkpoint))) stored.set(path, bytes);
  const problems: Problem[] = [];
  const altered = (text: string): void => void problems.push({ kind: "choose-another-checkpoint", text });
  for (const { files } of restored) {
    for (const { name, bytes } of files) {
      const there = stored.get(partPath(manifest.checkpoint, name));
      if (there === undefined) altered(`the file ${name} is missing`);
      else if (there !== bytes) altered(`the file ${name} has ${there} bytes instead of ${bytes}`);
    }
  }
  return problems;
}

/** A split to be read again: all of `(after, to]`. */
interface Reach {
  readonly function: string;
  readonly split: string;
  readonly after: Position;
  /** How far it was read: a replay goes to there. */
  readonly to: Position;
  readonly freshAtMs: number;
}

async function sourceProblems(
  resources: AppResources,
  manifest: Manifest,
  restored: readonly RestoredFunction[],
  { nothingRead = false }: CheckOptions,
): Promise<Problem[]> {
  const nowMs = resources.clock.now();
  const reaches: Reach[] = [];
  for (const one of restored) {
    if (nothingRead && (await resources.sourceOf(one.description.name).retentionMs()) === undefined) continue;
    reaches.push(...(await reachesOf(resources, manifest, one)));
  }
  const found = await pMap(
    reaches,
    async ({ function: name, split, after, to, freshAtMs }): Promise<Problem[]> => {
      const missing = await resources.sourceOf(name).reader.missingAfter({ split, after, to, freshAtMs, nowMs });
      if (missing === undefined) return [];
      const where = after === BEGINNING ? "from its beginning" : `after ${after}`;
      const text = `function ${name} cannot read split ${split} again ${where}: ${missing}`;
      return [{ kind: "choose-another-checkpoint", text }];
    },
    { concurrency: LOOK_CONCURRENCY },
  );
  return found.flat();
}

/**
 * The splits of a restored function that are read again: those of the cut that had not ended, those that were read on after
 * they had, and those that came after it and were read already. A function that starts empty takes what its source still
 * has, as a new one does.
 */
async function reachesOf(
  { control }: AppResources,
  manifest: Manifest,
  { description: { name }, from, splits }: RestoredFunction,
): Promise<Reach[]> {
  if (from === undefined) return [];
  const readTo = new Map<string, Position>();
  for await (const { split, item } of listSplits(control, name)) {
    if (item !== "unborn") readTo.set(split, laterOf(item.attemptedTo, item.until ?? BEGINNING));
  }
  const reaches: Reach[] = [];
  for (const { split, position: after, ended, freshAt } of from.splits) {
    const to = laterOf(readTo.get(split) ?? BEGINNING, after);
    if (!ended || to > after) reaches.push({ function: name, split, after, to, freshAtMs: Date.parse(freshAt) });
  }
  const bornSince = Date.parse(manifest.triggeredAt);
  for (const [split, to] of readTo) {
    if (splits.has(split) || to === BEGINNING) continue;
    reaches.push({ function: name, split, after: BEGINNING, to, freshAtMs: bornSince });
  }
  return reaches;
}
