/**
 * The heap engine: state, control, pump, handlers and coordinator in one process. When it starts it restores the latest
 * checkpoint and replays what came after, so losing the process loses nothing.
 */
import { describeApp } from "../shared/app/app-description.ts";
import type { AppDefinition } from "../shared/app/define-app.ts";
import { recoverFromStorage } from "../shared/restore/recover.ts";
import { createFunctionHandler, type FunctionHandler } from "../shared/runtime/event-handler.ts";
import { type OpenedResources, openResources } from "../shared/runtime/open-resources.ts";
import { checkSources, EngineCore } from "./engine-core.ts";
import type { EngineObserver } from "./engine-event.ts";
import type { DeliveryPauses } from "./pump/delivery.ts";
import { type KeyState, readState, readStatePage, type StatePage } from "./read-states.ts";
import { localSurroundings } from "./surroundings.ts";
import type { WorkerSettings } from "./worker/worker-messages.ts";

export interface HeapCoreOptions {
  readonly batchRecords: number;
  readonly batchWindowMs: number;
  readonly invocationMs: number;
  readonly pauses?: DeliveryPauses;
  readonly allowEmpty?: boolean;
}

/** The user's code, and the name of its version; undefined where nothing tells one from another. */
export interface LoadedCode {
  readonly app: AppDefinition;
  readonly codeVersion: string | undefined;
}

const DISCOVERY_MS = 1_000;
/** Looking at control costs nothing here, and a checkpoint begins the sooner when it is due. */
const COORDINATOR_MS = 50;

export class HeapCore {
  readonly core: EngineCore;
  private readonly resources: OpenedResources;
  private readonly closeClients: () => void;
  private readonly handlers: Map<string, FunctionHandler>;

  private constructor(
    core: EngineCore,
    resources: OpenedResources,
    handlers: Map<string, FunctionHandler>,
    closeClients: () => void,
  ) {
    this.core = core;
    this.resources = resources;
    this.handlers = handlers;
    this.closeClients = closeClients;
  }

  static async start(
    { app, codeVersion }: LoadedCode,
    settings: WorkerSettings,
    options: HeapCoreOptions,
    observe: EngineObserver,
  ): Promise<HeapCore> {
    const surroundings = localSurroundings(settings.dynamodb, observe);
    const { clock } = surroundings;
    const resources = { ...(await openResources(settings, surroundings)), ...versioned(codeVersion) };
    try {
      await checkSources(resources, options);
      const handlers = handlersOf(app, resources);
      const handler = (name: string): FunctionHandler => {
        const found = handlers.get(name);
        if (found === undefined) throw new Error(`There is no handler of function ${name}.`);
        return found;
      };
      const deadline = () => ({ deadlineMs: clock.now() + options.invocationMs });
      const replay: ConstructorParameters<typeof EngineCore>[1]["replay"] = (request) =>
        handler(request.function).replay(request, deadline());
      await recoverFromStorage(resources, { replay });
      const core = new EngineCore(resources, {
        ...options,
        // No event is built and parsed: the records that were read are folded as they are.
        deliver: (functionName, batch) => handler(functionName).fold(batch, deadline()),
        replay,
        observe,
        discoveryMs: DISCOVERY_MS,
        coordinatorMs: COORDINATOR_MS,
      });
      core.start();
      return new HeapCore(core, resources, handlers, () => surroundings.close());
    } catch (thrown) {
      await resources.close();
      surroundings.close();
      throw thrown;
    }
  }

  /** Another version of the same functions, over the same state. */
  deploy({ app, codeVersion }: LoadedCode): void {
    const resources = { ...this.resources, app: describeApp(app), ...versioned(codeVersion) };
    for (const [name, handler] of handlersOf(app, resources)) this.handlers.set(name, handler);
    this.core.deploy(resources);
  }

  state(functionName: string, key: string): Promise<KeyState | undefined> {
    return readState(this.resources, functionName, key);
  }

  statePage(functionName: string, cursor?: string): Promise<StatePage> {
    return readStatePage(this.resources, functionName, cursor);
  }

  async stop(how?: { readonly checkpoint?: boolean }): Promise<void> {
    try {
      await this.core.stop(how);
    } finally {
      await this.resources.close();
      this.closeClients();
    }
  }
}

const versioned = (codeVersion: string | undefined): Pick<OpenedResources, "codeVersion"> =>
  codeVersion === undefined ? {} : { codeVersion: () => codeVersion };

function handlersOf(app: AppDefinition, resources: OpenedResources): Map<string, FunctionHandler> {
  return new Map(
    app.functions.map(({ function: { name } }) => [
      name,
      // The state is memory already.
      createFunctionHandler(app, name, resources, { cacheItems: false }),
    ]),
  );
}
