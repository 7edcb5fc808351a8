/** What happens in the engine around the protocol, as data; the protocol's own events are `TidemarkEvent`. */
import type { TidemarkEvent } from "../shared/observer.ts";
import type { LeftOut } from "../shared/source/source.ts";

export type EngineEvent =
  | TidemarkEvent
  | { readonly type: "worker-started"; readonly pid: number; readonly milliseconds: number }
  /** `expected`: it was asked to stop, or replaced by a deployment. */
  | { readonly type: "worker-ended"; readonly pid: number; readonly how: string; readonly expected: boolean }
  /** The embedded DynamoDB died, or cannot be started again (`pid` 0, with the reason); it is tried until it is up. */
  | { readonly type: "dynamodb-ended"; readonly pid: number; readonly how: string }
  /** It answers again, where it did before. */
  | { readonly type: "dynamodb-started"; readonly pid: number }
  /** The home was open to other users, and is its owner's alone now. */
  | { readonly type: "home-closed"; readonly folder: string; readonly mode: string }
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
  /** It will not go on by itself, for a reason that was told before; it is tried on. Without a split: none can be listed. */
  | { readonly type: "split-stuck"; readonly function: string; readonly split?: string; readonly reason: string }
  | { readonly type: "split-drained"; readonly function: string; readonly split: string }
  | { readonly type: "coordinator-failed"; readonly error: string };

export type EngineObserver = (event: EngineEvent) => void;
