/**
 * Pre-flight: can this checkpoint be restored, by this app, from these sources, now? Nothing is changed before it says yes.
 *
 * Invariant: every byte that the load will read was read once, and its checksum held.
 *
 * Cost: one GET a part, read whole; one LIST of the checkpoint's folder; a look at the source for each split.
 */
import pMap from "p-map";
import type { AppResources } from "../app/app-resources.ts";
import type { Manifest, ManifestFile } from "../checkpoint/manifest.ts";
import { readPart } from "../checkpoint/part-file.ts";
import type { CheckWork } from "../checkpoint/work.ts";
import { TidemarkError } from "../errors.ts";
import { type CheckOptions, checkCheaply, type Problem } from "./cheap-checks.ts";
import { newestOlderCheckpoint } from "./older-checkpoint.ts";
import { matchFunctions, type RestoredFunctions } from "./restored-functions.ts";

export interface PreflightProgress {
  readonly files: number;
  readonly filesTotal: number;
  readonly bytes: number;
  readonly bytesTotal: number;
}

export interface PreflightOptions extends CheckOptions {
  /** Told after each part. */
  readonly onProgress?: (progress: PreflightProgress) => void;
  /** Parts read at a time. @default 4 */
  readonly partConcurrency?: number;
}

export interface PreflightReport extends RestoredFunctions {
  readonly files: number;
  readonly keys: number;
  /** As stored: compressed. */
  readonly bytes: number;
  /** Splits of the cut. */
  readonly splits: number;
}

const PART_CONCURRENCY = 4;
const PROBLEMS_NAMED_MAX = 5;

/**
 * Checks a checkpoint before a restore.
 * @throws TidemarkError `choose-another-checkpoint` when the checkpoint or the source lacks something;
 * `fix-configuration` when the app is what does not fit. Either names what, and the newest older checkpoint that would do.
 */
export async function preflight(
  resources: AppResources,
  manifest: Manifest,
  options: PreflightOptions = {},
): Promise<PreflightReport> {
  const { files, report } = await preflightWithoutParts(resources, manifest, options);
  let read = { files: 0, bytes: 0 };
  const problems: Problem[] = [];
  await pMap(
    files,
    async (file) => {
      const problem = await checkPart(resources, checkWorkOf(manifest, file));
      if (problem !== undefined) problems.push(problem);
      read = { files: read.files + 1, bytes: read.bytes + file.bytes };
      options.onProgress?.({ ...read, filesTotal: files.length, bytesTotal: report.bytes });
    },
    { concurrency: options.partConcurrency ?? PART_CONCURRENCY },
  );
  if (problems.length > 0) throw await refusal(resources, manifest, problems, options);
  return report;
}

/** The part of {@link preflight} that reads no part: what can be said at once. @throws as it does */
export async function preflightWithoutParts(
  resources: AppResources,
  manifest: Manifest,
  options: CheckOptions,
): Promise<{ readonly report: PreflightReport; readonly files: readonly ManifestFile[] }> {
  const cheap = await checkCheaply(resources, manifest, options);
  if (cheap.length > 0) throw await refusal(resources, manifest, cheap, options);
  const matched = matchFunctions(resources.app, manifest);
  const restored = new Set(Object.values(matched.functions));
  const files = manifest.files.filter((file) => restored.has(file.function));
  const report: PreflightReport = {
    files: files.length,
    keys: files.reduce((sum, file) => sum + file.items, 0),
    bytes: files.reduce((sum, file) => sum + file.bytes, 0),
    splits: manifest.functions
      .filter(({ name }) => restored.has(name))
      .reduce((sum, { splits }) => sum + splits.length, 0),
    ...matched,
  };
  return { report, files };
}

export function checkWorkOf(
  { checkpoint, functions }: Manifest,
  file: ManifestFile,
): Pick<CheckWork, "checkpoint" | "file" | "stateVersionMax"> {
  const stateVersionMax = functions.find(({ name }) => name === file.function)?.stateVersion ?? 0;
  return { checkpoint, file, stateVersionMax };
}

/** Reads a part as the load will; its reader checks bytes, checksum and count. */
export async function checkPart(
  { compression, storage }: AppResources,
  { checkpoint, file, stateVersionMax }: Pick<CheckWork, "checkpoint" | "file" | "stateVersionMax">,
): Promise<Problem | undefined> {
  try {
    for await (const image of readPart(storage, checkpoint, file, compression)) {
      if (image.stateVersion > stateVersionMax) {
        return {
          kind: "choose-another-checkpoint",
          text: `the file ${file.name} holds state of version ${image.stateVersion}, and the manifest knows ${stateVersionMax}`,
        };
      }
    }
    return undefined;
  } catch (thrown) {
    if (!(thrown instanceof TidemarkError) || thrown.kind !== "choose-another-checkpoint") throw thrown;
    return { kind: thrown.kind, text: thrown.message };
  }
}

/** What is thrown for these problems: it names some of them, and what else would do. */
export async function refusal(
  resources: AppResources,
  manifest: Manifest,
  problems: readonly Problem[],
  options: CheckOptions,
): Promise<TidemarkError> {
  const older = await newestOlderCheckpoint(resources, manifest, options);
  const named = problems.slice(0, PROBLEMS_NAMED_MAX).map(({ text }) => text);
  const more = problems.length > named.length ? `; and ${problems.length - named.length} more` : "";
  const wayOut = [
    ...new Set(problems.flatMap(({ wayOut }) => (wayOut === undefined ? [] : [wayOut]))),
    older === undefined
      ? "No older checkpoint of this app would do."
      : `The newest older checkpoint that would do is ${older}.`,
  ];
  const kind = problems.every((problem) => problem.kind === "fix-configuration")
    ? "fix-configuration"
    : "choose-another-checkpoint";
  return new TidemarkError(
    kind,
    `Checkpoint ${manifest.checkpoint} cannot be restored, and nothing was changed: ${named.join("; ")}${more}. ${wayOut.join(" ")}`,
  );
}
