/**
 * The engine on DynamoDB: a supervisor that feeds worker processes and drives checkpoints, and a DynamoDB process.
 * The supervisor runs no user code; any of the processes may be killed.
 */
import path from "node:path";
import { claimStorage } from "../shared/control/claim-storage.ts";
import { createControlTable } from "../shared/control/dynamodb/control-table.ts";
import type { RequestCounts } from "../shared/dynamodb/request-meter.ts";
import { describeThrown, TidemarkError } from "../shared/errors.ts";
import type { ReplayAnswer } from "../shared/restore/replay-invoker.ts";
import { type BatchAnswer, replayInstruction } from "../shared/runtime/event-handler.ts";
import { type OpenedResources, openResources } from "../shared/runtime/open-resources.ts";
import { createStateTable } from "../shared/state/dynamodb/state-table.ts";
import { connectDynamoDB, type DynamoDBConnection } from "./dynamodb/connect-dynamodb.ts";
import { splitEndpoint } from "./dynamodb/endpoint-url.ts";
import type { Engine, EngineProgress, StartedOptions } from "./engine.ts";
import { checkSources, EngineCore } from "./engine-core.ts";
import type { Deliver } from "./pump/delivery.ts";
import { readState, readStatePage } from "./read-states.ts";
import { sumCounts } from "./sum-counts.ts";
import { type LocalSurroundings, localSurroundings } from "./surroundings.ts";
import { type LoadedApp, Worker } from "./worker/worker.ts";
import type { WorkerSettings } from "./worker/worker-messages.ts";
import { WorkerPool } from "./worker/worker-pool.ts";
import { homeSettings, workerSettings } from "./worker-settings.ts";

const DISCOVERY_MS = 1_000;
const COORDINATOR_MS = 200;
/** The embedded DynamoDB takes some seconds to be started again, on a busy machine. */
const PATIENCE_MS = 20_000;

export async function startDynamoDBEngine(options: StartedOptions): Promise<Engine> {
  const { dynamodb: asked } = options;
  const connection =
    asked === "embedded" ? await connectDynamoDB(options.home_, { own: true, keepUp: options.observe }) : undefined;
  const surroundings = localSurroundings(connection?.endpoint ?? asked, options.observe);
  const engine = new DynamoDBEngine(options, connection, surroundings);
  try {
    await engine.start();
    return engine;
  } catch (thrown) {
    await engine.close();
    throw thrown;
  }
}

class DynamoDBEngine implements Engine {
  readonly home;
  readonly storageUrl: string;
  private readonly options: StartedOptions;
  private readonly connection: DynamoDBConnection | undefined;
  private readonly surroundings: LocalSurroundings;
  private readonly pool: WorkerPool;
  private readonly startedAtMs: number;
  private readonly tables = new Map<string, Promise<void>>();
  private readonly opened: OpenedResources[] = [];
  private settings: WorkerSettings | undefined;
  private started: EngineCore | undefined;

  constructor(options: StartedOptions, connection: DynamoDBConnection | undefined, surroundings: LocalSurroundings) {
    this.options = options;
    this.home = options.home_;
    this.storageUrl = options.storageUrl;
    this.connection = connection;
    this.surroundings = surroundings;
    this.startedAtMs = surroundings.clock.now();
    this.pool = new WorkerPool({
      workers: options.workers,
      launch: this.launcher(options.appModule ?? ""),
      clock: surroundings.clock,
      observe: options.observe,
      invocationMs: options.invocationMs,
    });
  }

  async start(): Promise<void> {
    await this.pool.start();
    const resources = await this.open(this.options.appModule ?? "");
    await checkSources(resources, this.options);
    this.started = new EngineCore(resources, {
      deliver: this.deliver,
      replay: async (request) => {
        const event = replayInstruction(request);
        return (await this.pool.invoke({ function: request.function, event })) as ReplayAnswer;
      },
      observe: this.options.observe,
      batchRecords: this.options.batchRecords,
      batchWindowMs: this.options.batchWindowMs,
      ...(this.options.pauses === undefined ? {} : { pauses: this.options.pauses }),
      discoveryMs: DISCOVERY_MS,
      coordinatorMs: COORDINATOR_MS,
      patienceMs: PATIENCE_MS,
    });
    this.started.start();
  }

  get app() {
    return this.current.app;
  }

  get dynamodb(): NonNullable<Engine["dynamodb"]> {
    const { dynamodb: place, tables = { control: "", state: {} } } = this.current;
    return { ...(place === "aws" ? {} : splitEndpoint(place)), tables };
  }

  async progress(): Promise<EngineProgress> {
    return {
      ...(await this.core.progress()),
      backend: "dynamodb",
      milliseconds: this.surroundings.clock.now() - this.startedAtMs,
      workers: this.pool.workers,
      requests: this.requests(),
    };
  }

  checkpoint: Engine["checkpoint"] = (options) => this.core.checkpoint(options);
  restore: Engine["restore"] = (choice, how) => this.core.restore(choice, how);
  restoreStatus: Engine["restoreStatus"] = () => this.core.restoreStatus();
  skip: Engine["skip"] = (choice) => this.core.skip(choice);
  settled: Engine["settled"] = () => this.core.settled();
  drained: Engine["drained"] = () => this.core.drained();
  killWorker: Engine["killWorker"] = async (signal = "SIGKILL") => this.pool.kill(signal);
  state: Engine["state"] = (functionName, key) => readState(this.resources, functionName, key);
  statePage: Engine["statePage"] = (functionName, cursor) => readStatePage(this.resources, functionName, cursor);

  async redeploy(appModule: string): Promise<void> {
    await this.pool.redeploy(this.launcher(appModule));
    this.core.deploy(await this.open(appModule));
  }

  async stop(how?: { readonly checkpoint?: boolean }): Promise<void> {
    try {
      await this.core.stop(how);
    } finally {
      await this.close();
    }
  }

  async close(): Promise<void> {
    await this.pool.stop();
    for (const resources of this.opened) await resources.close();
    this.surroundings.close();
    await this.connection?.close();
  }

  private launcher(appModule: string): () => Promise<Worker> {
    return async () => {
      const worker = new Worker("./worker-process", this.options.observe);
      try {
        const settings = await this.settingsFor(
          await worker.load(path.resolve(appModule), this.options.loadMs),
          appModule,
        );
        await worker.open(settings);
        this.settings = settings;
        return worker;
      } catch (thrown) {
        await worker.stop();
        throw thrown;
      }
    };
  }

  private async settingsFor(loaded: LoadedApp, appModule: string): Promise<WorkerSettings> {
    const settings = workerSettings(
      loaded,
      { ...this.options, appModule },
      { backend: "dynamodb", dynamodb: this.connection?.endpoint ?? this.options.dynamodb },
    );
    const { control = "", state = {} } = settings.tables ?? {};
    await Promise.all([
      this.ensureTable(control, createControlTable),
      ...Object.values(state).map((table) => this.ensureTable(table, createStateTable)),
    ]);
    return settings;
  }

  private ensureTable(table: string, create: typeof createStateTable): Promise<void> {
    let made = this.tables.get(table);
    if (made === undefined) {
      const { clock, randomness } = this.surroundings;
      made = this.surroundings
        .dynamodb()
        .then((client) => create({ client, clock, randomness }, table))
        .catch((thrown: unknown) => {
          throw this.withEndpoint(thrown);
        });
      made.catch(() => this.tables.delete(table));
      this.tables.set(table, made);
    }
    return made;
  }

  /** The first call of a run: a wrong URL shows here. */
  private withEndpoint(thrown: unknown): unknown {
    const { dynamodb: asked } = this.options;
    if (!(thrown instanceof TidemarkError) || thrown.kind !== "retry" || !asked.startsWith("http")) return thrown;
    return new TidemarkError(
      "retry",
      `The DynamoDB at ${splitEndpoint(asked).endpoint} cannot be used: ${describeThrown(thrown.cause)}. Start it, or correct the URL (--dynamodb).`,
      { cause: thrown },
    );
  }

  private async open(appModule: string): Promise<OpenedResources> {
    const resources = await openResources(this.current, this.surroundings);
    this.opened.push(resources);
    // An embedded DynamoDB belongs to its home alone, and moves with it.
    if (this.connection === undefined) await this.checkStorage(resources);
    this.home.writeSettings(homeSettings(this.current, this.options, appModule));
    return resources;
  }

  private async checkStorage({ control }: OpenedResources): Promise<void> {
    const claimed = await claimStorage(control, this.storageUrl);
    if (claimed === this.storageUrl) return;
    throw new TidemarkError(
      "fix-configuration",
      `The tables of the app ${this.app.name} keep their checkpoints in ${claimed}, and this run would keep them in ${this.storageUrl}. If it is to go on with those tables: --storage ${claimed}. If it is another app, give it another name: tables are named after it.`,
    );
  }

  private readonly deliver: Deliver = async (functionName, batch) => {
    const event = this.resources.sourceOf(functionName).events.toEvent(batch);
    return (await this.pool.invoke({ function: functionName, event })) as BatchAnswer;
  };

  private requests(): RequestCounts {
    const own = this.surroundings.meter()?.snapshot();
    return sumCounts([own, ...this.pool.all.map(({ counts }) => counts)]);
  }

  private get current(): WorkerSettings {
    return started(this.settings);
  }

  private get core(): EngineCore {
    return started(this.started);
  }

  private get resources(): OpenedResources {
    return started(this.opened.at(-1));
  }
}

function started<Part>(part: Part | undefined): Part {
  if (part === undefined) throw new Error("The engine has not started.");
  return part;
}
