import type { Run } from "./run.ts";
import type { Service } from "./service.ts";
import type { SmallDisk } from "./small-disk.ts";
import type { Tally } from "./tally.ts";
import type { Watch } from "./watch.ts";
import type { Weather } from "./weather.ts";

/** What faults strike. */
export interface World {
  readonly run: Run;
  /** The home of the run, which the commands beside it name. */
  readonly home: string;
  readonly storage: string;
  readonly service: Service;
  /** Undefined where none can be mounted. */
  readonly disk: SmallDisk | undefined;
  readonly weather: Weather;
  readonly watch: Watch;
  readonly tally: Tally;
  readonly env: NodeJS.ProcessEnv;
  /** How often a process was told that the disk is full. */
  readonly diskFullHeard: () => number;
  /** Chaos itself is to stop. */
  readonly signal: AbortSignal;
  /** Something that is not as it has to be. */
  readonly differs: (what: string) => void;
  readonly say: (text: string) => void;
}
