/** What an app runs on: its stores, its sources, and the machine's clock and randomness, all passed in. */
import type { ControlStore } from "../control/control-store.ts";
import type { Clock, Randomness } from "../environment.ts";
import type { KeyNamer } from "../function/name-key.ts";
import type { Observer } from "../observer.ts";
import type { Source } from "../source/source.ts";
import type { StateBackend } from "../state/state-backend.ts";
import type { CheckpointStorage } from "../storage/checkpoint-storage.ts";
import type { Compression } from "../storage/compression.ts";
import type { AppDescription } from "./app-description.ts";

export interface AppResources {
  readonly app: AppDescription;
  readonly control: ControlStore;
  readonly state: StateBackend;
  readonly storage: CheckpointStorage;
  /** The source of a function, its redriven dead letters included. */
  readonly sourceOf: (functionName: string) => Source;
  readonly clock: Clock;
  readonly randomness: Randomness;
  readonly observe: Observer;
  /**
   * Names the version of the user's code, equal for equal code: a split that it has taken records of knows it again.
   * @default all code is one version
   */
  readonly codeVersion?: () => string;
  /** How messages name a user's key. @default as it is */
  readonly nameKey?: KeyNamer;
  /** @default gzip */
  readonly compression?: Compression;
  /** How many items a part of a checkpoint has at the most, but for those of its last page. @default 100,000 */
  readonly partItemsMax?: number;
}
