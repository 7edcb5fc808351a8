/** One round: 20,000 flights through a run that everything goes wrong with, and the judgement of what is left. */
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { type DataSet, dealFlights } from "../../examples/flights/demo/data.ts";
import { Feed } from "../../examples/flights/demo/feed.ts";
import { endpointWith, splitEndpoint } from "../../local/dynamodb/endpoint-url.ts";
import { openHome } from "../../local/home.ts";
import { startFaultyProxy } from "../support/faulty-proxy.ts";
import { defectIn, startCommand } from "./command.ts";
import { FaultLanes } from "./fault-lanes.ts";
import { judge } from "./judge.ts";
import { type FaultKind, planFaults, stepsFor } from "./plan.ts";
import { Run } from "./run.ts";
import { openService } from "./service.ts";
import { readShelf } from "./shelf.ts";
import { mountSmallDisk, type SmallDisk } from "./small-disk.ts";
import { Tally } from "./tally.ts";
import { Watch } from "./watch.ts";
import { Weather } from "./weather.ts";
import type { World } from "./world.ts";

export interface RoundOptions {
  readonly seed: number;
  readonly minutes: number;
  readonly flights: DataSet;
  /** An empty folder; whoever made it removes it. */
  readonly home: string;
  readonly signal: AbortSignal;
  readonly say: (text: string) => void;
}

export interface RoundReport {
  readonly seed: number;
  readonly flights: number;
  readonly seconds: number;
  readonly faults: Tally["faults"];
  readonly impossible: readonly { readonly kind: FaultKind; readonly why: string }[];
  /** Kinds that could have happened and did not. */
  readonly neverHappened: readonly FaultKind[];
  readonly runStarts: number;
  /** Runs that ended by themselves, with an error that has a way out, and were started again. */
  readonly runsGivenUp: number;
  readonly generations: number;
  readonly checkpoints: {
    readonly completed: number;
    readonly aborted: number;
    readonly deleted: number;
    /** Compared with their own positions' GROUP BY and chains. */
    readonly judged: number;
  };
  readonly airports: number;
  readonly differences: readonly string[];
}

const WORKERS = 2;
const BATCH_RECORDS = 500;
const INTERVAL_MS = 1_000;
const TICK_MS = 100;
const LINE_MS = 5_000;
const LOOK_MS = 1_000;
/** The last flights come when no more faults do. */
const WHILE_FAULTS = 0.98;
const MAKE_UP_ROUNDS = 3;
/** Flights, and with them faults, wait for an app that is behind by this part of all, on a machine that is slow. */
const LEAD_PART = 0.2;
/** So many times the minutes asked for, at the most; and so long for what had not happened by then. */
const SLOWER_MAX = 3;
const MAKE_UP_MS = 120_000;
/** Without faults nothing at all happened for so long: the promise that it goes on is broken. */
const STUCK_MS = 150_000;
const DIFFERENCES_MAX = 200;

export async function runRound(options: RoundOptions): Promise<RoundReport> {
  const { flights, home, say, seed } = options;
  const startedAtMs = performance.now();
  const splits = await dealFlights(flights, path.join(home, "dealt"));
  const feed = await Feed.open(splits, path.join(home, "flights"));
  const service = await openService(path.join(home, "service"), process.env);
  const tally = new Tally();
  const disk = await smallDisk(path.join(home, "disk"), tally, say);
  const app = `chaos-${seed}-${process.pid}`;
  const tables = [`tidemark-${app}-control`, `tidemark-${app}-state-on-time`, `tidemark-${app}-state-hash-chain`];
  const weather = new Weather((kind) => tally.happened(kind));
  const proxy = await startFaultyProxy(
    () => service.endpoint,
    (operation, body) => weather.faultOf(operation, body),
  );
  const watch = new Watch(service, tables[0] as string);
  const storage = path.join(home, "disk", "checkpoints");
  const differences: string[] = [];
  const differs = (what: string): void => {
    say(`DIFFERENCE: ${what}`);
    if (differences.length < DIFFERENCES_MAX) differences.push(what);
  };
  if (service.kill === undefined) tally.impossible.set("kill-dynamodb", `${service.name} is not ours to kill`);
  let diskFullHeard = 0;
  const run = new Run({
    args: runArguments({
      ...{ home: path.join(home, "home"), storage, source: feed.binding },
      endpoint: endpointWith(splitEndpoint(service.endpoint).credentials, proxy.endpoint),
    }),
    env: { TIDEMARK_CHAOS_APP: app },
    logFile: path.join(home, "run.log"),
    onDefect: differs,
    onLine: (line) => {
      if (line.includes("The disk is full")) diskFullHeard += 1;
    },
  });
  const world: World = {
    ...{ run, storage, service, disk, weather, watch, tally, differs, say },
    home: path.join(home, "home"),
    env: { TIDEMARK_CHAOS_APP: app },
    diskFullHeard: () => diskFullHeard,
    signal: options.signal,
  };
  const done = new AbortController();
  const looking = lookOn(world, feed, AbortSignal.any([done.signal, options.signal]));
  try {
    say(`Seed ${seed}: ${feed.flights} flights, ${service.name}, ${WORKERS} workers; everything is in ${home}.`);
    run.start();
    await goThroughFaults(world, feed, options);
    await comeToRest(world, feed, options.signal);
    const ended = await run.stop();
    const defect = ended === undefined ? undefined : defectIn(ended);
    if (defect !== undefined) differs(`The run did not stop in good order: ${defect}`);

    say("Comparing with DuckDB and with a plain pass over the files.");
    const judgement = await judge({
      ...{ storage, flights, splits, endpoint: service.endpoint, temporaryFolder: path.join(home, "temporary") },
      app: openHome(world.home).readSettings().app,
    });
    for (const difference of judgement.differences) differs(difference);
    const { standing, aborted, deleted } = readShelf(storage);
    const { faults } = tally;
    const impossible = [...tally.impossible].map(([kind, why]) => ({ kind, why }));
    return {
      seed,
      flights: feed.flights,
      seconds: Math.round((performance.now() - startedAtMs) / 1_000),
      ...{ faults, impossible, differences },
      neverHappened: neverHappened(tally),
      runStarts: run.starts,
      runsGivenUp: run.gaveUp,
      generations: watch.last?.control.gen ?? 0,
      checkpoints: {
        completed: standing.length + deleted,
        aborted,
        deleted,
        judged: judgement.checkpoints.length,
      },
      airports: judgement.airports,
    };
  } finally {
    done.abort();
    await looking;
    await run.abandon();
    await feed.stop();
    watch.close();
    await proxy.close();
    await service.close(tables);
    if (differences.length > 0) await disk?.keep(path.join(home, "disk-kept"));
    await disk?.close();
  }
}

async function smallDisk(folder: string, tally: Tally, say: (text: string) => void): Promise<SmallDisk | undefined> {
  try {
    return await mountSmallDisk(folder);
  } catch (thrown) {
    const why = `no small disk can be mounted: ${thrown instanceof Error ? thrown.message.trim() : String(thrown)}`;
    say(`LEFT OUT: disk-full: ${why}`);
    tally.impossible.set("disk-full", why);
    await mkdir(folder, { recursive: true });
    return undefined;
  }
}

function runArguments(given: {
  readonly home: string;
  readonly storage: string;
  readonly endpoint: string;
  readonly source: string;
}): string[] {
  const app = fileURLToPath(new URL("./app.js", import.meta.url));
  return [
    ...["run", app, "--home", given.home, "--keep-running"],
    ...["--storage", pathToFileURL(given.storage).href, "--dynamodb", given.endpoint],
    ...["--source", `flights=${given.source}`, "--workers", String(WORKERS)],
    ...["--batch-size", String(BATCH_RECORDS), "--checkpoint-interval", `${INTERVAL_MS}ms`],
  ];
}

/** Lets flights in over the time, and has each step's fault happen when its share of them has arrived. */
async function goThroughFaults(world: World, feed: Feed, { seed, minutes, home, signal }: RoundOptions): Promise<void> {
  const plan = planFaults({ seed, minutes });
  await writeFile(path.join(home, "plan.json"), `${plan.map((step) => JSON.stringify(step)).join("\n")}\n`);
  await untilThere(world, signal);
  feed.start(() => feed.arrived);
  const faults = new FaultLanes(world);
  try {
    const left = [...plan];
    const latestMs = performance.now() + SLOWER_MAX * minutes * 60_000;
    let folded = 0;
    for (let share = 0; share < 1 && performance.now() < latestMs; await sleep(TICK_MS, undefined, { signal })) {
      // Restores go back; how far it ever came tells whether this machine keeps up.
      folded = Math.max(folded, world.watch.last?.folded ?? 0);
      if (feed.arrived - folded > LEAD_PART * feed.flights) continue;
      share = Math.min(1, share + TICK_MS / (minutes * 60_000));
      feed.letIn(share * WHILE_FAULTS);
      for (let next = left[0]; next !== undefined && next.at <= share; next = left[0]) {
        faults.begin(next);
        left.shift();
      }
    }
    if (left.length > 0) world.say(`This machine is slow: ${left.length} steps of the plan were left out.`);
    await faults.finish();
    for (let round = 1; round <= MAKE_UP_ROUNDS; round++) {
      const kinds = neverHappened(world.tally);
      if (kinds.length === 0 || performance.now() >= latestMs + MAKE_UP_MS) break;
      world.say(`Not happened yet: ${kinds.join(", ")}; once more.`);
      feed.letIn(WHILE_FAULTS + ((1 - WHILE_FAULTS) * round) / (MAKE_UP_ROUNDS + 1));
      for (const step of stepsFor(kinds, seed + round)) faults.begin(step);
      await faults.all(latestMs + MAKE_UP_MS);
      // A stretch of requests goes on by itself.
      await sleep(LINE_MS, undefined, { signal });
    }
  } finally {
    world.weather.calm();
    await faults.finish();
  }
}

function neverHappened({ faults, impossible }: Tally): FaultKind[] {
  return faults.filter(({ kind, times }) => times === 0 && !impossible.has(kind)).map(({ kind }) => kind);
}

/** The run's tables are there, and its control item. */
async function untilThere({ watch }: World, signal: AbortSignal): Promise<void> {
  for (let waitedMs = 0; (await watch.look()) === undefined; waitedMs += TICK_MS) {
    if (waitedMs > STUCK_MS) throw new Error("The run did not start; see run.log in its home.");
    await sleep(TICK_MS, undefined, { signal });
  }
}

/** No more faults: all flights come, all of them are folded, and a last savepoint of it is taken. */
async function comeToRest(world: World, feed: Feed, signal: AbortSignal): Promise<void> {
  const { differs, say, watch } = world;
  world.disk?.free();
  say("No more faults; the rest of the flights.");
  feed.drain();
  let seen = "";
  let sinceMs = performance.now();
  for (;;) {
    await sleep(5 * TICK_MS, undefined, { signal });
    const look = await watch.look();
    if (look?.settled === true && look.folded >= feed.flights) break;
    const digest = `${feed.arrived} ${look?.digest}`;
    if (digest !== seen) sinceMs = performance.now();
    seen = digest;
    if (performance.now() - sinceMs < STUCK_MS) continue;
    return differs(`Stuck: without faults nothing happened for ${STUCK_MS / 1_000} s; control and splits: ${digest}`);
  }
  const last = await startCommand(["checkpoint", "--savepoint", "end", "--home", world.home], world).ended;
  if (last.code !== 0) differs(`Without faults no last savepoint was taken: ${last.stderr.trim()}`);
}

/** Looks every second, and tells now and then. */
async function lookOn({ watch, tally, say, run }: World, feed: Feed, signal: AbortSignal): Promise<void> {
  for (let saidAtMs = 0; !signal.aborted; ) {
    await sleep(LOOK_MS, undefined, { signal }).catch(() => {});
    const look = await watch.look();
    if (look === undefined || signal.aborted || performance.now() - saidAtMs < LINE_MS) continue;
    saidAtMs = performance.now();
    const faults = tally.faults.reduce((sum, { times }) => sum + times, 0);
    const { gen, epoch, phase } = look.control;
    say(
      `${feed.arrived} of ${feed.flights} flights arrived, ${look.folded} folded; checkpoint ${epoch}, generation ${gen}${phase === "RUNNING" ? "" : " (replaying)"}; ${faults} faults, run started ${run.starts} times`,
    );
  }
}
