/** What a supervisor and its worker say to each other. Plain data: it crosses a process boundary. */
import type { AppDescription } from "../../shared/app/app-description.ts";
import type { RequestCounts } from "../../shared/dynamodb/request-meter.ts";
import type { Settings } from "../../shared/runtime/settings.ts";
import type { SentError } from "../call-codec.ts";
import type { EngineEvent } from "../engine-event.ts";

/** Everything a worker needs besides the user's code. */
export interface WorkerSettings extends Settings {
  /** `aws`: the environment's own region and credentials; otherwise the endpoint's URL. */
  readonly dynamodb: string;
}

export type SupervisorSays =
  | { readonly type: "load"; readonly appModule: string }
  | { readonly type: "open"; readonly settings: WorkerSettings; readonly options?: unknown }
  | {
      readonly type: "invoke";
      readonly id: number;
      readonly function: string;
      readonly event: unknown;
      readonly deadlineMs: number;
    }
  /** The heap worker alone: a method of its engine. */
  | { readonly type: "call"; readonly id: number; readonly method: string; readonly arguments: readonly unknown[] };

export type WorkerSays =
  | {
      readonly type: "loaded";
      readonly app: AppDescription;
      /** The bindings that the app module itself names. */
      readonly sources: { readonly [name: string]: string };
    }
  | { readonly type: "ready" }
  /** Loading or opening failed; the worker ends. */
  | { readonly type: "failed"; readonly error: SentError }
  | { readonly type: "answer"; readonly id: number; readonly answer: unknown; readonly counts?: RequestCounts }
  | { readonly type: "error"; readonly id: number; readonly error: SentError; readonly counts?: RequestCounts }
  | { readonly type: "event"; readonly event: EngineEvent }
  /** The heap worker alone: a checkpoint of it holds more than the one that it began with. */
  | { readonly type: "got-further" }
  /** The process ends by itself, once it has said what it is about to say. */
  | { readonly type: "ends"; readonly why: string };
