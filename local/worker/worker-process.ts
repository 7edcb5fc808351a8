/**
 * A worker process: what a Lambda execution environment is. It loads the user's app, opens what the app runs on, and
 * answers one invocation at a time with the very handlers that Lambda's entry points use. It may be killed at any time.
 */
import { describeApp } from "../../shared/app/app-description.ts";
import type { AppDefinition } from "../../shared/app/define-app.ts";
import { sourceUrls } from "../../shared/app/source-options.ts";
import { ChangedBuiltInsError, changedBuiltIns, refuseChangedBuiltIns } from "../../shared/built-ins.ts";
import { TidemarkError } from "../../shared/errors.ts";
import { createEventHandler, type EventHandler } from "../../shared/runtime/event-handler.ts";
import { type OpenedResources, openResources } from "../../shared/runtime/open-resources.ts";
import { sendError } from "../call-codec.ts";
import { codeVersionOf } from "../code-version.ts";
import { type LocalSurroundings, localSurroundings } from "../surroundings.ts";
import { loadingGuarded } from "./loading-guard.ts";
import type { SupervisorSays, WorkerSays, WorkerSettings } from "./worker-messages.ts";

let app: AppDefinition | undefined;
let codeVersion = "";
let resources: OpenedResources | undefined;
let surroundings: LocalSurroundings | undefined;
const handlers = new Map<string, EventHandler>();

function say(message: WorkerSays): void {
  // A supervisor that is gone reads nothing any more; this process ends with it.
  if (process.connected) process.send?.(message, () => {});
}

async function load(appModule: string): Promise<void> {
  codeVersion = codeVersionOf(appModule);
  app = await loadingGuarded(appModule, (error) => say({ type: "failed", error: sendError(error) }));
  refuseChangedBuiltIns();
  say({ type: "loaded", app: describeApp(app), sources: sourceUrls(app) });
}

async function open(settings: WorkerSettings): Promise<void> {
  surroundings = localSurroundings(settings.dynamodb, (event) => say({ type: "event", event }));
  resources = { ...(await openResources(settings, surroundings)), codeVersion: () => codeVersion };
  say({ type: "ready" });
}

async function invoke(message: SupervisorSays & { readonly type: "invoke" }): Promise<void> {
  const { id, event, deadlineMs } = message;
  const counts = () => {
    const snapshot = surroundings?.meter()?.snapshot();
    return snapshot === undefined ? {} : { counts: snapshot };
  };
  let says: WorkerSays;
  try {
    const answer = await handlerOf(message.function)(event, { deadlineMs });
    says = { type: "answer", id, answer, ...counts() };
  } catch (thrown) {
    const isLost = thrown instanceof ChangedBuiltInsError && !thrown.undone;
    // The process ends of it as of any death: another tries again, until the record's tries are used up.
    const error = isLost ? new TidemarkError("retry", thrown.message) : thrown;
    says = { type: "error", id, error: sendError(error), ...counts() };
  }
  const change = changedBuiltIns();
  if (change === undefined) return say(says);
  say({ type: "ends", why: `the app's code changed the language's own objects: ${change.what}` });
  process.send?.(says, () => process.exit(1));
}

/** Made at the first event and kept, as by an environment that stays warm. */
function handlerOf(functionName: string): EventHandler {
  let handler = handlers.get(functionName);
  if (handler === undefined) {
    if (app === undefined || resources === undefined) throw new Error("The worker was invoked before it was ready.");
    handler = createEventHandler(app, functionName, resources);
    handlers.set(functionName, handler);
  }
  return handler;
}

process.on("message", (message: SupervisorSays) => {
  if (message.type === "invoke") {
    void invoke(message);
  } else if (message.type !== "call") {
    const step = message.type === "load" ? load(message.appModule) : open(message.settings);
    step.catch((thrown: unknown) => say({ type: "failed", error: sendError(thrown) }));
  }
});
// Ctrl-C reaches every process of the terminal, and a service manager's SIGTERM every one of the service; the supervisor
// drains the batches first, then lets its workers go.
process.on("SIGINT", () => {});
process.on("SIGTERM", () => {});
process.on("disconnect", () => process.exit(0));
