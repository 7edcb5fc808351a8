/**
 * What the heap benchmark compares, each on the same 3,000,000 flights and with the same `handle`.
 *
 * - From a file: both sides read lines, parse JSON, validate by the function's schema, fold.
 * - In memory: JSON is parsed before the clock starts; both sides validate and fold.
 * - In memory, validated: that is done before as well. The plain loop then does nothing but look up, `handle` and store;
 *   Tidemark's function has a schema that takes every event as it is.
 *
 * - What Flink's job does: the sums of delays alone, of flights that are hardly looked at. Flink reads them as CSV, of
 *   which it parses two columns; Tidemark as JSON lines, of which it parses all five.
 *
 * Besides, Tidemark does what it is for: it follows positions, groups, freezes states, checks that they are JSON,
 * commits batch by batch, and takes a checkpoint every second.
 */
import { createReadStream } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { onTime } from "../examples/flights/on-time.ts";
import { EngineCore } from "../local/engine-core.ts";
import { readStatePage, type StatePage } from "../local/read-states.ts";
import { startEngine } from "../local/start-engine.ts";
import { describeApp } from "../shared/app/app-description.ts";
import type { AppResources } from "../shared/app/app-resources.ts";
import { type AppDefinition, defineApp } from "../shared/app/define-app.ts";
import { HeapControlStore } from "../shared/control/heap/heap-control-store.ts";
import { openRedriveSource } from "../shared/dead-letter/redrive-source.ts";
import { withRedrive } from "../shared/dead-letter/with-redrive.ts";
import { systemClock, systemRandomness } from "../shared/environment.ts";
import type { FunctionDefinition } from "../shared/function/function-definition.ts";
import type { JsonValue } from "../shared/json/json-value.ts";
import { createFunctionHandler } from "../shared/runtime/event-handler.ts";
import type { SourceRecord } from "../shared/source/source.ts";
import { HeapStateBackend } from "../shared/state/heap/heap-state-backend.ts";
import { openCheckpointStorage } from "../shared/storage/open-storage.ts";
import { delaySums } from "./delay-sums.ts";
import { memoryRecord, memorySource } from "./memory-source.ts";
import { type Elapsed, startWatch } from "./stopwatch.ts";

/** The most that Lambda takes from Kinesis: some 15 ms of work, after which a checkpoint gets its turn. */
const BATCH_RECORDS = 10_000;
const CHECKPOINT_INTERVAL_MS = 1_000;

type OnTimeState = ReturnType<typeof onTime.state.initial>;
type Flight = Parameters<typeof onTime.handle>[1];

export interface Folded extends Elapsed {
  readonly states: ReadonlyMap<string, JsonValue>;
  /** Completed while the events were folded. */
  readonly checkpoints: number;
}

/** Folds everything once, with `home` for what is to be durable; may be asked again. */
export type Run = (home: string) => Promise<Folded>;

/** Makes ready whatever is not measured. */
export const CONTENDERS = {
  "map-file":
    async (file: string): Promise<Run> =>
    () =>
      mapFromFile(file),
  "tidemark-file":
    async (file: string): Promise<Run> =>
    (home) =>
      tidemarkFromFile(appOf(onTime), file, home),
  "tidemark-sums":
    async (file: string): Promise<Run> =>
    (home) =>
      tidemarkFromFile(appOf(delaySums), file, home),
  "map-memory": async (file: string): Promise<Run> => mapInMemory(await readRecords(file, (raw) => raw), validated),
  "tidemark-memory": async (file: string): Promise<Run> =>
    tidemarkInMemory(await readRecords(file, (raw) => raw), appOf(onTime)),
  "map-validated": async (file: string): Promise<Run> =>
    mapInMemory(await readRecords(file, validated), (flight) => flight as Flight),
  "tidemark-validated": async (file: string): Promise<Run> =>
    tidemarkInMemory(await readRecords(file, validated), appOf({ ...onTime, event: anyEvent })),
};

export type ContenderName = keyof typeof CONTENDERS;

// biome-ignore lint/suspicious/noExplicitAny: an app holds functions of any event and state
const appOf = (definition: FunctionDefinition<any, any>): AppDefinition =>
  defineApp({
    name: "bench",
    functions: [{ function: definition, source: "flights" }],
    checkpointing: { intervalMs: CHECKPOINT_INTERVAL_MS },
  });

const anyEvent: typeof onTime.event = {
  "~standard": { version: 1, vendor: "bench", validate: (event) => ({ value: event as Flight }) },
};

async function mapFromFile(file: string): Promise<Folded> {
  const elapsed = startWatch();
  const states = new Map<string, OnTimeState>();
  for await (const lines of lineBlocks(file)) {
    for (const line of lines) foldInto(states, validated(JSON.parse(line)));
  }
  return { ...elapsed(), states: asJson(states), checkpoints: 0 };
}

function mapInMemory(records: readonly SourceRecord[], toFlight: (payload: unknown) => Flight): Run {
  return async () => {
    const elapsed = startWatch();
    const states = new Map<string, OnTimeState>();
    for (const { payload } of records) foldInto(states, toFlight(payload));
    return { ...elapsed(), states: asJson(states), checkpoints: 0 };
  };
}

function foldInto(states: Map<string, OnTimeState>, flight: Flight): void {
  const key = onTime.key(flight);
  // The function answers at once and clears no key; its context is not looked at.
  const next = onTime.handle(states.get(key) ?? onTime.state.initial(), flight, NO_CONTEXT) as OnTimeState;
  states.set(key, next);
}

const NO_CONTEXT = { key: "", split: "", position: "", replay: false };

function validated(raw: unknown): Flight {
  const result = onTime.event["~standard"].validate(raw);
  if (result instanceof Promise || result.issues !== undefined) throw new Error("The flight is none.");
  return result.value;
}

/** As fast as lines can be had from a stream: no line has a promise or an event of its own. */
async function* lineBlocks(file: string): AsyncGenerator<string[]> {
  let rest = "";
  for await (const chunk of createReadStream(file, { encoding: "latin1", highWaterMark: 1024 * 1024 })) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    yield lines;
  }
  if (rest !== "") yield [rest];
}

async function tidemarkFromFile(app: AppDefinition, file: string, home: string): Promise<Folded> {
  const elapsed = startWatch();
  const engine = await startEngine({
    app,
    backend: "heap",
    inProcess: true,
    home,
    sources: { flights: file },
    batchRecords: BATCH_RECORDS,
  });
  await engine.drained();
  const took = elapsed();
  const { checkpointsCompleted } = await engine.progress();
  const states = await readStates((cursor) => engine.statePage(onTime.name, cursor));
  await engine.stop();
  return { ...took, states, checkpoints: checkpointsCompleted };
}

/** The heap engine, put together as it does it itself, on a source that is memory. */
function tidemarkInMemory(records: readonly SourceRecord[], app: AppDefinition): Run {
  return async (home) => {
    const elapsed = startWatch();
    const resources = await memoryResources(app, records, home);
    const handler = createFunctionHandler(app, onTime.name, resources, { cacheItems: false });
    const deadline = () => ({ deadlineMs: systemClock.now() + 60_000 });
    const core = new EngineCore(resources, {
      deliver: (_functionName, batch) => handler.fold(batch, deadline()),
      replay: (request) => handler.replay(request, deadline()),
      observe: () => {},
      batchRecords: BATCH_RECORDS,
      batchWindowMs: 0,
      discoveryMs: 1_000,
      coordinatorMs: 200,
    });
    core.start();
    await core.drained();
    const took = elapsed();
    const { checkpointsCompleted } = await core.progress();
    const states = await readStates((cursor) => readStatePage(resources, onTime.name, cursor));
    await core.stop();
    await resources.storage.close();
    return { ...took, states, checkpoints: checkpointsCompleted };
  };
}

async function memoryResources(
  app: AppDefinition,
  records: readonly SourceRecord[],
  home: string,
): Promise<AppResources> {
  const [clock, randomness] = [systemClock, systemRandomness];
  const storage = await openCheckpointStorage(pathToFileURL(path.join(home, "checkpoints")).href, {
    clock,
    randomness,
  });
  const flights = memorySource("flights", records);
  const redrive = openRedriveSource({ storage, functionName: onTime.name, original: flights.events, clock });
  const source = withRedrive(flights, redrive);
  return {
    app: describeApp(app),
    control: new HeapControlStore(),
    state: new HeapStateBackend(),
    storage,
    clock,
    randomness,
    observe: () => {},
    sourceOf: () => source,
  };
}

async function readRecords(file: string, toPayload: (raw: unknown) => unknown): Promise<SourceRecord[]> {
  const records: SourceRecord[] = [];
  for await (const lines of lineBlocks(file)) {
    for (const line of lines) records.push(memoryRecord(records.length + 1, toPayload(JSON.parse(line))));
  }
  return records;
}

async function readStates(page: (cursor?: string) => Promise<StatePage>): Promise<Map<string, JsonValue>> {
  const states = new Map<string, JsonValue>();
  let cursor: string | undefined;
  do {
    const next = await page(cursor);
    for (const { key, state } of next.states) states.set(key, state);
    cursor = next.cursor;
  } while (cursor !== undefined);
  return states;
}

function asJson(states: ReadonlyMap<string, OnTimeState>): ReadonlyMap<string, JsonValue> {
  return states as unknown as ReadonlyMap<string, JsonValue>;
}
