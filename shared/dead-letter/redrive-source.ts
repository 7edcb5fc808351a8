import type { Clock } from "../environment.ts";
import type { Source, SourceEvents } from "../source/source.ts";
import type { CheckpointStorage } from "../storage/checkpoint-storage.ts";
import { redriveEvents } from "./redrive-events.ts";
import { redriveReader } from "./redrive-reader.ts";

export interface RedriveSourceOptions {
  readonly storage: CheckpointStorage;
  readonly functionName: string;
  /** The event half of the source that the function reads. */
  readonly original: SourceEvents;
  readonly clock: Clock;
}

/** A function's redriven dead letters as a source: one split, kept for ever, never ended. Opening it calls nothing. */
export function openRedriveSource({ storage, functionName, original, clock }: RedriveSourceOptions): Source {
  return {
    events: redriveEvents(original),
    reader: redriveReader(storage, functionName, clock),
    retentionMs: async () => undefined,
  };
}
