/** The heap backend beside a plain `Map`, and beside Apache Flink's hashmap backend where that can be had. */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { JsonValue } from "../shared/json/json-value.ts";
import { Child } from "./child.ts";
import { THREE_MILLION, writeThreeMillionFlights } from "./flights.ts";
import { canRunFlink, type FlinkSpeeds, findFlinkPeer, runFlink } from "./flink.ts";
import type { ContenderName } from "./heap-contenders.ts";
import type { HeapFigures, HeapProcessSays } from "./heap-process.ts";
import { type Expectation, inThousands, median, note, type Report, toPrecision } from "./report.ts";

const ROUNDS = 3;

/** A way to compare: what the plain loop and Tidemark start from. */
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

export async function benchHeap(): Promise<Report> {
  const folder = await mkdtemp(path.join(tmpdir(), "tidemark-bench-"));
  try {
    const file = path.join(folder, "flights.jsonl");
    await writeThreeMillionFlights(file, "json-lines");
    const flink = await openFlink(folder);
    const readings = { file: [] as Pair[], memory: [] as Pair[], validated: [] as Pair[] };
    const flinkRounds: FlinkSpeeds[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      readings.file.push(...(await measure("file", { file, folder, rounds: [round] })));
      if (flink !== undefined) flinkRounds.push(await flink());
    }
    const rounds = Array.from({ length: ROUNDS }, (_, round) => round);
    readings.memory.push(...(await measure("memory", { file, folder, rounds })));
    readings.validated.push(...(await measure("validated", { file, folder, rounds })));
    const digests = new Set(
      Object.values(readings)
        .flat()
        .flatMap(({ map, tidemark }) => [map.digest, tidemark.digest]),
    );
    if (digests.size !== 1) throw new Error("Tidemark and the plain loop ended with different states.");
    return report(readings, flinkRounds);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Undefined: it cannot be had here. */
async function openFlink(folder: string): Promise<(() => Promise<FlinkSpeeds>) | undefined> {
  const peer = findFlinkPeer();
  if (peer === undefined || !(await canRunFlink())) {
    note("heap: Apache Flink is left out (needs java, mvn, and FLINK_PEER=folder of the peer).");
    return undefined;
  }
  const csv = path.join(folder, "flights.csv");
  const work = path.join(folder, "flink");
  await writeThreeMillionFlights(csv, "csv");
  await mkdir(work);
  return async () => {
    const speeds = await runFlink(peer, csv, work);
    note(
      `heap, Apache Flink, events/s: ${Object.entries(speeds)
        .map(([name, speed]) => `${name} ${inThousands(speed)}`)
        .join(", ")}`,
    );
    return speeds;
  };
}

/** In turns, each in its own process; who comes first changes with every round. */
async function measure(
  reading: ReadingName,
  { file, folder, rounds }: { readonly file: string; readonly folder: string; readonly rounds: readonly number[] },
): Promise<Pair[]> {
  const { map, tidemark } = READINGS[reading];
  const [plain, own] = [map, tidemark].map((name) => new Child<HeapProcessSays>("./heap-process", [name, file])) as [
    Child<HeapProcessSays>,
    Child<HeapProcessSays>,
  ];
  try {
    await Promise.all([plain.says(), own.says()]);
    const pairs: Pair[] = [];
    for (const round of rounds) {
      const home = await mkdtemp(path.join(folder, "home-"));
      const runs = { map: () => plain.ask(home), tidemark: () => own.ask(home) };
      const measured: Partial<Record<keyof Pair, HeapFigures>> = {};
      for (const who of round % 2 === 0 ? (["map", "tidemark"] as const) : (["tidemark", "map"] as const)) {
        measured[who] = (await runs[who]()) as HeapFigures;
      }
      const pair = measured as Pair;
      pairs.push(pair);
      note(`heap, ${READINGS[reading].what}: plain Map ${speedText(pair.map)}, Tidemark ${speedText(pair.tidemark)}`);
      await rm(home, { recursive: true, force: true });
    }
    return pairs;
  } finally {
    await Promise.all([plain.stop(), own.stop()]);
  }
}

const perSecond = ({ milliseconds }: HeapFigures): number => (THREE_MILLION * 1_000) / milliseconds;
const perProcessorSecond = ({ cpuMilliseconds }: HeapFigures): number => (THREE_MILLION * 1_000) / cpuMilliseconds;
const speedText = (figures: HeapFigures): string =>
  `${inThousands(perSecond(figures))} events/s (${inThousands(perProcessorSecond(figures))} a processor second), ${figures.checkpoints} checkpoints`;

function report(readings: Readonly<Record<ReadingName, readonly Pair[]>>, flink: readonly FlinkSpeeds[]): Report {
  const ratio = (reading: ReadingName): number =>
    median(readings[reading].map(({ map, tidemark }) => map.milliseconds / tidemark.milliseconds));
  const names = Object.keys(READINGS) as ReadingName[];
  const rows = names.flatMap((reading) => {
    const figures = readings[reading];
    const line = (who: string, of: (pair: Pair) => HeapFigures, share: string): string[] => [
      `${who}, ${READINGS[reading].what}`,
      inThousands(median(figures.map((pair) => perSecond(of(pair))))),
      inThousands(median(figures.map((pair) => perProcessorSecond(of(pair))))),
      share,
      String(median(figures.map((pair) => of(pair).checkpoints))),
    ];
    return [
      line("plain Map", ({ map }) => map, "1"),
      line("Tidemark", ({ tidemark }) => tidemark, String(toPrecision(ratio(reading)))),
    ];
  });
  const flinkExpectations: Expectation[] = [];
  for (const backend of Object.keys(flink[0] ?? {})) {
    const speed = median(flink.map((speeds) => speeds[backend] ?? Number.NaN));
    rows.push([`Apache Flink, ${backend}, from a file`, inThousands(speed), "", "", "one a second"]);
    const ratioToFlink = median(
      flink.map(
        (speeds, round) => perSecond((readings.file[round] as Pair).tidemark) / (speeds[backend] ?? Number.NaN),
      ),
    );
    if (backend === "hashmap")
      flinkExpectations.push({ what: "Tidemark / Flink's hashmap backend", actual: ratioToFlink, atLeast: 1 });
  }
  return {
    benchmark: `Heap: ${THREE_MILLION.toLocaleString("en-US")} flights, a checkpoint a second to file:, ${ROUNDS} rounds in turns, medians`,
    about: [
      "Equal states, the same handle, each contender in a process of its own.",
      "Tidemark folds on one thread; Flink has a parallelism of 2.",
    ],
    columns: ["contender", "events/s", "events a processor second", "share of the plain Map", "checkpoints"],
    rows,
    expectations: [
      ...flinkExpectations,
      { what: "Tidemark / plain Map, from a file", actual: ratio("file"), atLeast: 0.5 },
      { what: "Tidemark / plain Map, parsed in memory", actual: ratio("memory"), atLeast: 0.5 },
      {
        // The second counts from one's start to the next one's, and what is asked for may be late by a batch or two.
        what: "checkpoints a second, from a file",
        actual: median(readings.file.map(({ tidemark }) => (tidemark.checkpoints * 1_000) / tidemark.milliseconds)),
        atLeast: 0.5,
      },
    ],
    figures: {
      events: THREE_MILLION,
      readings: readings as unknown as JsonValue,
      flink: flink as unknown as JsonValue,
    },
  };
}
