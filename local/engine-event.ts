/** What happens in the engine around the protocol, as data; the protocol's own events are `TidemarkEvent`. */
import type { TidemarkEvent } from "../shared/observer.ts";
import type { LeftOut } from "../shared/source/source.ts";

export type EngineEvent =
  | TidemarkEvent
  | { readonly type: "worker-started"; readonly pid: number; readonly milliseconds: number }
  /** `expected`: it was asked to stop, or replaced by a deployment. */
  | { readonly type: "worker-ended"; readonly pid: number; readonly how: string; readonly expected: boolean }
  | {
      readonly type: "delivery-failed";
      readonly function: string;
      readonly split: string;
      readonly records: number;
      readonly tries: number;
      readonly error: string;
    }
  | { readonly type: "source-failed"; readonly function: string; readonly split?: string; readonly error: string }
  /** A split ends in what is no whole record yet: it was left unread. Once for each such end. */
  | {
      readonly type: "unfinished-record";
      readonly function: string;
      readonly split: string;
      /** A sentence that names the place. */
      readonly text: string;
    }
  /** What the place of a source holds and is not read; of several listings, what is new in this one. */
  | { readonly type: "left-out"; readonly source: string; readonly leftOut: LeftOut }
  | { readonly type: "split-drained"; readonly function: string; readonly split: string }
  | { readonly type: "coordinator-failed"; readonly error: string };

export type EngineObserver = (event: EngineEvent) => void;
