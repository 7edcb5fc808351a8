/** Makes a source of what a user writes: an app module's `sources`, `--source`, a deployment's setting. */
import type { KinesisClient } from "@aws-sdk/client-kinesis";
import type { Clock, Randomness } from "../environment.ts";
import { TidemarkError } from "../errors.ts";
import type { Source } from "./source.ts";

export interface SourceDependencies {
  readonly clock: Clock;
  readonly randomness: Randomness;
  /** Called only for a Kinesis binding; imports the SDK then. The caller closes the client. */
  readonly kinesisClient: () => Promise<KinesisClient>;
  /** Where relative paths begin: the app module's folder. */
  readonly baseFolder: string;
}

/**
 * Opens the source that a binding names:
 *
 * - `kinesis:NAME`: a Kinesis stream.
 * - a path: a file, a folder, or `data/*.jsonl`. What is read are JSON lines (`.jsonl`, `.ndjson`, `.json`), also gzipped, and
 *   `.parquet`; files of other names are read where their content begins as one of these.
 * - `follow:PATH`: the same, tailed: what is appended is read, and the files never end.
 *
 * @throws TidemarkError `fix-configuration` when it names none, or there is no such file
 */
export async function openSource(binding: string, dependencies: SourceDependencies): Promise<Source> {
  const { clock, randomness, kinesisClient, baseFolder } = dependencies;
  // One letter before the colon is a drive of Windows.
  const [, kind, name = ""] = /^([a-z][a-z0-9+-]+):(.*)$/is.exec(binding) ?? [];
  if (kind === "kinesis") {
    const { openKinesisSource } = await import("./kinesis/kinesis-source.ts");
    return openKinesisSource({ client: await kinesisClient(), stream: name, clock, randomness });
  }
  const path = kind === undefined ? binding : name;
  if ((kind !== undefined && kind !== "follow") || path === "") {
    throw new TidemarkError(
      "fix-configuration",
      `${JSON.stringify(binding)} names no source. Write "kinesis:STREAM", a path of files ("data/*.jsonl", "flights.parquet"), or "follow:PATH" to tail files.`,
    );
  }
  const { openFileSource } = await import("./file/file-source.ts");
  return await openFileSource({ pattern: path, baseFolder, follow: kind === "follow", clock });
}

/** The binding with its files tailed; one of a stream stays as it is. */
export function followed(binding: string): string {
  return /^[a-z][a-z0-9+-]+:/i.test(binding) ? binding : `follow:${binding}`;
}
