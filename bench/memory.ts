/**
 * Peak memory of a snapshot and of a restore: it must not depend on how many keys there are.
 *
 * Each step runs in a process of its own, DynamoDB in another. Fewer keys are done more often, so that both processes
 * are equally busy and V8 has the same reasons to let its heap grow.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { connectDynamoDB } from "../local/dynamodb/connect-dynamodb.ts";
import { openHome } from "../local/home.ts";
import { localSurroundings } from "../local/surroundings.ts";
import type { JsonValue } from "../shared/json/json-value.ts";
import { Child } from "./child.ts";
import type { MemoryFigures, MemoryWork } from "./memory-process.ts";
import { fillStateTable } from "./memory-tables.ts";
import { inThousands, note, type Report, toPrecision } from "./report.ts";

const FEW_KEYS = 10_000;
const MANY_KEYS = 200_000;
/** A restore writes key by key, which takes an emulator its time. */
const REPEATS_OF_FEW = { snapshot: MANY_KEYS / FEW_KEYS, restore: 2 };

/** What V8 and the operating system round up and leave lying differs by more than a few percent from run to run. */
const GROWTH_MAX = 1.25;

type Step = MemoryWork["step"];
const STEPS: readonly Step[] = ["snapshot", "restore"];

interface Measured extends MemoryFigures {
  readonly step: Step;
}

export async function benchMemory(): Promise<Report> {
  const folder = await mkdtemp(path.join(tmpdir(), "tidemark-bench-"));
  const connection = await connectDynamoDB(openHome(folder), { own: true });
  const surroundings = localSurroundings(connection.endpoint, () => {});
  try {
    const access = { client: await surroundings.dynamodb(), ...surroundings };
    const measured: Measured[] = [];
    for (const keys of [FEW_KEYS, MANY_KEYS]) {
      note(`memory: filling a table with ${inThousands(keys)} keys`);
      await fillStateTable(access, `filled-${keys}`, keys);
      for (const step of STEPS) {
        const repeats = keys === FEW_KEYS ? REPEATS_OF_FEW[step] : 1;
        const figures = await measure({
          step,
          repeats,
          endpoint: connection.endpoint,
          storageUrl: pathToFileURL(path.join(folder, `checkpoints-${keys}`)).href,
          // A restore goes into an account that is empty but for the checkpoints.
          tables: {
            control: `${step}-control-${keys}`,
            state: step === "snapshot" ? `filled-${keys}` : `restored-${keys}`,
          },
        });
        if (figures.keys !== keys) throw new Error(`The ${step} was of ${figures.keys} keys instead of ${keys}.`);
        measured.push({ step, ...figures });
        note(
          `memory, ${step} of ${inThousands(keys)} keys, ${repeats} times: peak ${megabytes(figures.peakRssBytes)}, live ${megabytes(figures.peakLiveBytes)}, ${toPrecision(figures.milliseconds / 1_000)} s`,
        );
      }
    }
    return report(measured);
  } finally {
    surroundings.close();
    await connection.close();
    await rm(folder, { recursive: true, force: true });
  }
}

async function measure(work: MemoryWork): Promise<MemoryFigures> {
  const child = new Child<MemoryFigures>("./memory-process", []);
  try {
    return await child.ask(JSON.stringify(work));
  } finally {
    await child.stop();
  }
}

const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MB`;

function report(measured: readonly Measured[]): Report {
  const growth = (step: Step, of: (figures: Measured) => number): number => {
    const [few, many] = measured.filter((one) => one.step === step).toSorted((a, b) => a.keys - b.keys);
    return few === undefined || many === undefined ? Number.NaN : of(many) / of(few);
  };
  return {
    benchmark: `Memory: a snapshot and a restore of ${inThousands(FEW_KEYS)} and of ${inThousands(MANY_KEYS)} keys, DynamoDB backend, file: storage`,
    about: [
      "Peak RSS: the most that the process held. Peak live: the most that was in use right after a full collection.",
      `Fewer keys are done more often: ${REPEATS_OF_FEW.snapshot} snapshots, ${REPEATS_OF_FEW.restore} restores.`,
    ],
    columns: ["step", "keys", "peak RSS", "peak live", "live when idle", "seconds"],
    rows: measured.map(({ step, keys, peakRssBytes, peakLiveBytes, idleLiveBytes, milliseconds }) => [
      step,
      inThousands(keys),
      megabytes(peakRssBytes),
      megabytes(peakLiveBytes),
      megabytes(idleLiveBytes),
      String(toPrecision(milliseconds / 1_000)),
    ]),
    expectations: STEPS.flatMap((step) => [
      {
        what: `peak RSS of a ${step}, ${inThousands(MANY_KEYS)} / ${inThousands(FEW_KEYS)} keys`,
        actual: growth(step, ({ peakRssBytes }) => peakRssBytes),
        atMost: GROWTH_MAX,
      },
      {
        what: `peak live memory of a ${step}, ${inThousands(MANY_KEYS)} / ${inThousands(FEW_KEYS)} keys`,
        actual: growth(step, ({ peakLiveBytes }) => peakLiveBytes),
        atMost: GROWTH_MAX,
      },
    ]),
    figures: { measured: measured as unknown as JsonValue },
  };
}
