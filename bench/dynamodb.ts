/** Tidemark on DynamoDB beside two hand-written ways to do the same, in one run on one emulator in a process of its own. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { onTime } from "../examples/flights/on-time.ts";
import { connectDynamoDB } from "../local/dynamodb/connect-dynamodb.ts";
import { openHome } from "../local/home.ts";
import { type LocalSurroundings, localSurroundings } from "../local/surroundings.ts";
import type { JsonValue } from "../shared/json/json-value.ts";
import {
  type Contender,
  type OpenContender,
  openGetAndPut,
  openHandWrittenLimit,
  openTidemark,
} from "./dynamodb-contenders.ts";
import { fiveThousandFlights } from "./flights.ts";
import { inThousands, median, note, type Report, toPrecision } from "./report.ts";
import { digestOf } from "./state-digest.ts";

const BATCH_EVENTS = 500;
const ROUNDS = 5;

const TIDEMARK = "Tidemark";
const LIMIT = "hand-written limit";
const GET_AND_PUT = "get-and-put per event";

const CONTENDERS: Readonly<Record<string, OpenContender>> = {
  [TIDEMARK]: openTidemark,
  [LIMIT]: openHandWrittenLimit,
  [GET_AND_PUT]: openGetAndPut,
};

interface BatchFigures {
  readonly requests: number;
  /** Distinct keys, and how many of them no batch before had. */
  readonly keys: number;
  readonly newKeys: number;
}

interface Measured {
  readonly milliseconds: number;
  readonly batches: readonly BatchFigures[];
  readonly readUnits: number;
  readonly writeUnits: number;
  readonly digest: string;
}

/** By contender. */
type Round = Readonly<Record<string, Measured>>;

export async function benchDynamoDB(): Promise<Report> {
  const flights = await fiveThousandFlights();
  const folder = await mkdtemp(path.join(tmpdir(), "tidemark-bench-"));
  const connection = await connectDynamoDB(openHome(folder), { own: true });
  const rounds: Round[] = [];
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const measured = await runRound(connection.endpoint, `bench-${round}`, flights);
      rounds.push(measured);
      const speeds = Object.entries(measured).map(
        ([name, { milliseconds }]) => `${name} ${inThousands((flights.length * 1_000) / milliseconds)}`,
      );
      note(`dynamodb, round ${round + 1} of ${ROUNDS}, events/s: ${speeds.join(", ")}`);
    }
  } finally {
    await connection.close();
    await rm(folder, { recursive: true, force: true });
  }
  const digests = new Set(rounds.flatMap((round) => Object.values(round).map(({ digest }) => digest)));
  if (digests.size !== 1) throw new Error("The contenders ended with different states: they did not do the same work.");
  return report(rounds, flights.length);
}

/**
 * Each contender on fresh tables, in turns batch by batch: whatever else the machine does meanwhile slows them alike.
 * Who comes first changes with every batch.
 */
async function runRound(endpoint: string, prefix: string, flights: readonly unknown[]): Promise<Round> {
  const runs = await Promise.all(
    Object.entries(CONTENDERS).map(([name, open], index) =>
      Run.open(name, open, { endpoint, prefix: `${prefix}-${index}` }),
    ),
  );
  try {
    for (let from = 0, turn = 0; from < flights.length; from += BATCH_EVENTS, turn++) {
      const batch = flights.slice(from, from + BATCH_EVENTS);
      for (let i = 0; i < runs.length; i++) await runs[(turn + i) % runs.length]?.process(batch);
    }
    return Object.fromEntries(await Promise.all(runs.map(async (run) => [run.name, await run.measured()] as const)));
  } finally {
    for (const run of runs) run.close();
  }
}

/** A contender at work. */
class Run {
  readonly name: string;
  private readonly contender: Contender;
  private readonly surroundings: LocalSurroundings;
  private readonly known = new Set<string>();
  private readonly batches: BatchFigures[] = [];
  private milliseconds = 0;

  private constructor(name: string, contender: Contender, surroundings: LocalSurroundings) {
    this.name = name;
    this.contender = contender;
    this.surroundings = surroundings;
    surroundings.meter()?.reset();
  }

  static async open(
    name: string,
    open: OpenContender,
    place: { readonly endpoint: string; readonly prefix: string },
  ): Promise<Run> {
    const surroundings = localSurroundings(place.endpoint, () => {});
    return new Run(name, await open(surroundings, place.prefix), surroundings);
  }

  async process(batch: readonly unknown[]): Promise<void> {
    const keys = new Set(batch.map((flight) => String((flight as { readonly origin?: unknown }).origin)));
    const newKeys = [...keys].filter((key) => !this.known.has(key));
    for (const key of newKeys) this.known.add(key);
    const before = this.requests();
    const startedAt = performance.now();
    await this.contender.process(batch);
    this.milliseconds += performance.now() - startedAt;
    this.batches.push({ requests: this.requests() - before, keys: keys.size, newKeys: newKeys.length });
  }

  async measured(): Promise<Measured> {
    const { readUnits = 0, writeUnits = 0 } = this.surroundings.meter()?.snapshot() ?? {};
    const { milliseconds, batches } = this;
    return { milliseconds, batches, readUnits, writeUnits, digest: digestOf(await this.contender.states()) };
  }

  close(): void {
    this.surroundings.close();
  }

  private requests(): number {
    return this.surroundings.meter()?.snapshot().requests ?? 0;
  }
}

function report(rounds: readonly Round[], events: number): Report {
  const of = (name: string): Measured[] => rounds.map((round) => round[name] as Measured);
  const perSecond = (name: string): number =>
    median(of(name).map(({ milliseconds }) => (events * 1_000) / milliseconds));
  /** Of each round its own ratio: the load of the machine changes from round to round. */
  const ratioTo = (name: string): number => {
    const others = of(name);
    return median(
      of(TIDEMARK).map(({ milliseconds }, round) => (others[round] as Measured).milliseconds / milliseconds),
    );
  };
  const rows = Object.keys(CONTENDERS).map((name) => {
    const { batches, readUnits, writeUnits } = of(name).at(-1) as Measured;
    const requests = batches.reduce((sum, batch) => sum + batch.requests, 0);
    return [
      name,
      inThousands(perSecond(name)),
      String(toPrecision(ratioTo(name))),
      String(toPrecision(requests / batches.length)),
      String(toPrecision(readUnits / events)),
      String(toPrecision(writeUnits / events)),
    ];
  });
  return {
    benchmark: `DynamoDB: ${events.toLocaleString("en-US")} flights in batches of ${BATCH_EVENTS}, ${ROUNDS} rounds in turns, medians`,
    about: [
      `All validate by the schema of ${onTime.name}, fold by its handle, and ended with equal states.`,
      "Tidemark: the event handler of Lambda with its worker's cache, exactly once, checkpoints possible at any time.",
      "Hand-written limit: group by key, BatchGetItem, one conditional PutItem a key, 16 in flight.",
      "Get-and-put: one event after the other, unprotected.",
    ],
    columns: [
      "contender",
      "events/s",
      "Tidemark is x times as fast",
      "requests a batch",
      "read units/event",
      "write units/event",
    ],
    rows,
    expectations: [
      { what: "Tidemark / get-and-put per event", actual: ratioTo(GET_AND_PUT), atLeast: 5 },
      { what: "Tidemark / hand-written limit", actual: ratioTo(LIMIT), atLeast: 0.85 },
      {
        what: "Tidemark's requests of a batch beyond one a distinct key and reads of new keys",
        actual: Math.max(...of(TIDEMARK).map(({ batches }) => requestsBeyond(batches))),
        atMost: 2,
      },
    ],
    figures: {
      events,
      batchEvents: BATCH_EVENTS,
      rounds: rounds as unknown as JsonValue,
    },
  };
}

/** The first batch is left out: it also births the split, once in a split's life. */
function requestsBeyond(batches: readonly BatchFigures[]): number {
  return Math.max(...batches.slice(1).map(({ requests, keys, newKeys }) => requests - keys - Math.ceil(newKeys / 100)));
}
