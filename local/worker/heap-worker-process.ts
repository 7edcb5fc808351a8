/** The process that holds a heap engine: its supervisor calls the engine's methods, and starts it again when it dies. */
import { describeApp } from "../../shared/app/app-description.ts";
import type { AppDefinition } from "../../shared/app/define-app.ts";
import { sourceUrls } from "../../shared/app/source-options.ts";
import { changedBuiltIns, refuseChangedBuiltIns } from "../../shared/built-ins.ts";
import { sendError } from "../call-codec.ts";
import { codeVersionOf } from "../code-version.ts";
import type { EngineEvent } from "../engine-event.ts";
import { HeapCore, type HeapCoreOptions } from "../heap-core.ts";
import { loadingGuarded } from "./loading-guard.ts";
import type { SupervisorSays, WorkerSays } from "./worker-messages.ts";

let app: AppDefinition | undefined;
let codeVersion = "";
let engine: HeapCore | undefined;

function say(message: WorkerSays): void {
  if (process.connected) process.send?.(message, () => {});
}

async function begin(message: SupervisorSays & { readonly type: "load" | "open" }): Promise<void> {
  if (message.type === "load") {
    codeVersion = codeVersionOf(message.appModule);
    app = await loadingGuarded(message.appModule, (error) => say({ type: "failed", error: sendError(error) }));
    refuseChangedBuiltIns();
    say({ type: "loaded", app: describeApp(app), sources: sourceUrls(app) });
    return;
  }
  if (app === undefined) throw new Error("The worker was opened before it was loaded.");
  engine = await HeapCore.start({ app, codeVersion }, message.settings, message.options as HeapCoreOptions, (event) => {
    follow(event);
    if (FAILURES.has(event.type)) endWhereChanged();
    if (event.type !== "batch") say({ type: "event", event });
  });
  say({ type: "ready" });
}

/** Whatever fails may fail for the language's own objects. */
const FAILURES: ReadonlySet<EngineEvent["type"]> = new Set(["delivery-failed", "source-failed", "coordinator-failed"]);

/** What was undone is forgotten with the record; losing the state for it would have the record replayed, without end. */
function endWhereChanged(): void {
  const change = changedBuiltIns();
  if (change === undefined || change.undone) return;
  say({ type: "ends", why: `the app's code changed the language's own objects: ${change.what}` });
  process.exit(1);
}

let hasFolded = false;
let hadFoldedAtTrigger = false;

/** A checkpoint that was triggered after a batch holds what no later process reads again. */
function follow(event: EngineEvent): void {
  if (event.type === "batch") hasFolded = true;
  else if (event.type === "checkpoint-triggered") hadFoldedAtTrigger = hasFolded;
  else if (event.type === "checkpoint-completed" && hadFoldedAtTrigger) say({ type: "got-further" });
}

async function call({ id, method, arguments: given }: SupervisorSays & { readonly type: "call" }): Promise<void> {
  try {
    say({ type: "answer", id, answer: await answer(method, given) });
  } catch (thrown) {
    endWhereChanged();
    say({ type: "error", id, error: sendError(thrown) });
  }
}

function answer(method: string, given: readonly unknown[]): Promise<unknown> {
  if (engine === undefined) throw new Error("The worker was called before it was ready.");
  const { core } = engine;
  switch (method) {
    case "progress":
      return core.progress();
    case "checkpoint":
      return core.checkpoint(given[0] as Parameters<typeof core.checkpoint>[0]);
    case "restore":
      return core.restore(...(given as Parameters<typeof core.restore>));
    case "restoreStatus":
      return core.restoreStatus();
    case "skip":
      return core.skip(given[0] as Parameters<typeof core.skip>[0]);
    case "settled":
      return core.settled();
    case "drained":
      return core.drained();
    case "state":
      return engine.state(given[0] as string, given[1] as string);
    case "statePage":
      return engine.statePage(given[0] as string, given[1] as string | undefined);
    case "stop":
      return engine.stop(given[0] as Parameters<typeof engine.stop>[0]);
    default:
      throw new Error(`A heap engine has no method ${method}.`);
  }
}

process.on("message", (message: SupervisorSays) => {
  if (message.type === "call") void call(message);
  else if (message.type !== "invoke") {
    begin(message).catch((thrown: unknown) => say({ type: "failed", error: sendError(thrown) }));
  }
});
// See worker-process.ts.
process.on("SIGINT", () => {});
process.on("SIGTERM", () => {});
process.on("disconnect", () => process.exit(0));
