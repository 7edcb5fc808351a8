/** The heap backend beside a plain `Map`, and beside Apache Flink's hashmap backend where that can be had. */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { HEAP_NODE_FLAGS } from "../local/worker/worker.ts";
import type { JsonValue } from "../shared/json/json-value.ts";
import { Child } from "./child.ts";
import { THREE_MILLION, writeThreeMillionFlights } from "./flights.ts";
import { canRunFlink, type FlinkSpeeds, findFlinkPeer, runFlink } from "./flink.ts";
import type { ContenderName } from "./heap-contenders.ts";
import type { HeapFigures, HeapProcessSays } from "./heap-process.ts";
import { type Expectation, inThousands, median, note, type Report, toPrecision } from "./report.ts";

const ROUNDS = 3;

/** What the plain loop and Tidemark start from. */
const READINGS = {
  file: { map: "map-file", tidemark: "tidemark-file", what: "from a file: read, parse, validate, fold" },
  memory: { map: "map-memory", tidemark: "tidemark-memory", what: "parsed in memory: validate, fold" },
  validated: { map: "map-validated", tidemark: "tidemark-validated", what: "validated in memory: fold" },
} as const satisfies Record<string, { map: ContenderName; tidemark: ContenderName; what: string }>;

type ReadingName = keyof typeof READINGS;

interface Pair {
  readonly map: HeapFigures;
  readonly tidemark: HeapFigures;
}

/** One round of the job that Flink does; without `flink` where that cannot be had. */
interface SumsRound {
  readonly tidemark: HeapFigures;
  readonly flink?: FlinkSpeeds;
}

interface Place {
  readonly folder: string;
  /** The flights as JSON lines. */
  readonly file: string;
}

export async function benchHeap(): Promise<Report> {
  const folder = await mkdtemp(path.join(tmpdir(), "tidemark-bench-"));
  try {
    const place: Place = { folder, file: path.join(folder, "flights.jsonl") };
    await writeThreeMillionFlights(place.file, "json-lines");
    const flink = await openFlink(folder);
    const rounds = Array.from({ length: ROUNDS }, (_, round) => round);
    const file: Pair[] = [];
    const sums: SumsRound[] = [];
    for (const round of rounds) {
      // New processes for every round: Flink's is new as well.
      file.push(...(await measurePairs("file", place, [round])));
      sums.push(await measureSums(place, flink));
    }
    const readings = {
      file,
      memory: await measurePairs("memory", place, rounds),
      validated: await measurePairs("validated", place, rounds),
    };
    checkStates(readings, sums);
    return report(readings, sums);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

type Readings = Readonly<Record<ReadingName, readonly Pair[]>>;

function checkStates(readings: Readings, sums: readonly SumsRound[]): void {
  const pairs = Object.values(readings).flatMap((all) => all.flatMap(({ map, tidemark }) => [map, tidemark]));
  if (new Set(pairs.map(({ digest }) => digest)).size !== 1) {
    throw new Error("Tidemark and the plain loop ended with different states.");
  }
  const ofSums = [...pairs, ...sums.map(({ tidemark }) => tidemark)];
  if (new Set(ofSums.map(({ sumsDigest }) => sumsDigest)).size !== 1) {
    throw new Error("The sums that are compared with Flink's are not those of the other runs.");
  }
}

type Flink = () => Promise<FlinkSpeeds>;

/** Undefined: it cannot be had here. */
async function openFlink(folder: string): Promise<Flink | undefined> {
  const peer = findFlinkPeer();
  if (peer === undefined || !(await canRunFlink())) {
    note("heap: Apache Flink is left out (it needs java, mvn, and FLINK_PEER=folder of the peer).");
    return undefined;
  }
  const csv = path.join(folder, "flights.csv");
  const work = path.join(folder, "flink");
  await writeThreeMillionFlights(csv, "csv");
  await mkdir(work);
  return () => runFlink(peer, csv, work);
}

async function measureSums(place: Place, flink: Flink | undefined): Promise<SumsRound> {
  const tidemark = await inProcess("tidemark-sums", place, (child) => runIn(child, place));
  note(`heap, the sums that Flink's job folds: Tidemark ${speedText(tidemark)}`);
  if (flink === undefined) return { tidemark };
  const speeds = await flink();
  const texts = Object.entries(speeds).map(([backend, speed]) => `${backend} ${inThousands(speed)}`);
  note(`heap, Apache Flink: ${texts.join(", ")} events/s`);
  return { tidemark, flink: speeds };
}

/** In turns, each in a process of its own; who comes first changes with every round. */
async function measurePairs(reading: ReadingName, place: Place, rounds: readonly number[]): Promise<Pair[]> {
  const { map, tidemark, what } = READINGS[reading];
  return inProcess(map, place, (plain) =>
    inProcess(tidemark, place, async (own) => {
      const pairs: Pair[] = [];
      for (const round of rounds) {
        const first = round % 2 === 0 ? undefined : await runIn(own, place);
        const plainFigures = await runIn(plain, place);
        const pair = { map: plainFigures, tidemark: first ?? (await runIn(own, place)) };
        pairs.push(pair);
        note(`heap, ${what}: plain Map ${speedText(pair.map)}; Tidemark ${speedText(pair.tidemark)}`);
      }
      return pairs;
    }),
  );
}

type HeapChild = Child<HeapProcessSays>;

async function inProcess<Result>(
  contender: ContenderName,
  { file }: Place,
  measure: (child: HeapChild) => Promise<Result>,
): Promise<Result> {
  // The flags of the heap engine's own process, for the plain loop as well.
  const child: HeapChild = new Child("./heap-process", [contender, file], HEAP_NODE_FLAGS);
  try {
    await child.says();
    return await measure(child);
  } finally {
    await child.stop();
  }
}

async function runIn(child: HeapChild, { folder }: Place): Promise<HeapFigures> {
  const home = await mkdtemp(path.join(folder, "home-"));
  const figures = (await child.ask(home)) as HeapFigures;
  await rm(home, { recursive: true, force: true });
  return figures;
}

const perSecond = ({ milliseconds }: HeapFigures): number => (THREE_MILLION * 1_000) / milliseconds;
const perProcessorSecond = ({ cpuMilliseconds }: HeapFigures): number => (THREE_MILLION * 1_000) / cpuMilliseconds;
const speedText = (figures: HeapFigures): string =>
  `${inThousands(perSecond(figures))} events/s (${inThousands(perProcessorSecond(figures))} a processor second), ${figures.checkpoints} checkpoints`;

/** Of each round its own ratio: the load of the machine changes from round to round. */
const shareOfMap = (pairs: readonly Pair[]): number =>
  median(pairs.map(({ map, tidemark }) => map.milliseconds / tidemark.milliseconds));

function report(readings: Readings, sums: readonly SumsRound[]): Report {
  const line = (who: string, all: readonly HeapFigures[], share = ""): string[] => [
    who,
    inThousands(median(all.map(perSecond))),
    inThousands(median(all.map(perProcessorSecond))),
    share,
    String(median(all.map(({ checkpoints }) => checkpoints))),
  ];
  const pairRows = Object.entries(READINGS).flatMap(([reading, { what }]) => {
    const pairs = readings[reading as ReadingName];
    const plain = pairs.map(({ map }) => map);
    const own = pairs.map(({ tidemark }) => tidemark);
    const share = String(toPrecision(shareOfMap(pairs)));
    return [line(`plain Map, ${what}`, plain, "1"), line(`Tidemark, ${what}`, own, share)];
  });
  const flinkRows = Object.keys(sums[0]?.flink ?? {}).map((backend) => {
    const speed = median(sums.map(({ flink }) => flink?.[backend] ?? Number.NaN));
    return [`Apache Flink, ${backend}, its job`, inThousands(speed), "", "", ""];
  });
  const own = sums.map(({ tidemark }) => tidemark);
  return {
    benchmark: `Heap: ${THREE_MILLION.toLocaleString("en-US")} flights, a checkpoint a second to file:, ${ROUNDS} rounds in turns, medians`,
    about: [
      "Equal states, the same handle, each contender in a process of its own. Tidemark folds on one thread.",
      "Flink's job: sums of delays from CSV, at a parallelism of 2; Tidemark folds the same sums from JSON lines.",
    ],
    columns: ["contender", "events/s", "events a processor second", "share of the plain Map", "checkpoints"],
    rows: [...pairRows, line("Tidemark, Flink's job", own), ...flinkRows],
    expectations: [
      ...flinkExpectation(sums),
      { what: "Tidemark / plain Map, from a file", actual: shareOfMap(readings.file), atLeast: 0.5 },
      { what: "Tidemark / plain Map, parsed in memory", actual: shareOfMap(readings.memory), atLeast: 0.5 },
      {
        // The interval counts from start to start, and what is due waits for a batch to end.
        what: "checkpoints a second, from a file",
        actual: median(readings.file.map(({ tidemark }) => (tidemark.checkpoints * 1_000) / tidemark.milliseconds)),
        atLeast: 0.5,
      },
    ],
    figures: {
      events: THREE_MILLION,
      readings: readings as unknown as JsonValue,
      sums: sums as unknown as JsonValue,
    },
  };
}

function flinkExpectation(sums: readonly SumsRound[]): Expectation[] {
  const ratios = sums.flatMap(({ tidemark, flink }) =>
    flink?.hashmap === undefined ? [] : [perSecond(tidemark) / flink.hashmap],
  );
  if (ratios.length === 0) return [];
  return [{ what: "Tidemark / Flink's hashmap backend, Flink's job", actual: median(ratios), atLeast: 1 }];
}
