/**
 * Apache Flink on the same flights, where it can be had: a folder with a `run FLIGHTS.csv PARALLELISM` that prints lines
 * such as `flink hashmap checkpoint every 1000 ms, parallelism 2: 13.6 s, 220646 events/s`.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";

const execute = promisify(execFile);

const PARALLELISM = "2";
/** The first run downloads Flink. */
const TIMEOUT_MS = 20 * 60_000;

/** Events per second by state backend: `hashmap`, `rocksdb`. */
export type FlinkSpeeds = Readonly<Record<string, number>>;

/** The folder of the peer: `FLINK_PEER`, or `peers/flink` of a folder `shared` beside the project. */
export function findFlinkPeer(): string | undefined {
  const folder = process.env.FLINK_PEER ?? path.resolve("../shared/peers/flink");
  return existsSync(path.join(folder, "run")) ? folder : undefined;
}

/** Whether Java and Maven are there. */
export async function canRunFlink(): Promise<boolean> {
  try {
    await Promise.all([execute("java", ["-version"]), execute("mvn", ["-version"])]);
    return true;
  } catch {
    return false;
  }
}

/** @param work where it is built and keeps its checkpoints; a second run there builds nothing anew */
export async function runFlink(peer: string, csv: string, work: string): Promise<FlinkSpeeds> {
  const { stdout } = await execute("bash", [path.join(peer, "run"), csv, PARALLELISM], {
    env: { ...process.env, WORK: work },
    timeout: TIMEOUT_MS,
    maxBuffer: 64 * 1024 * 1024,
  });
  const speeds: Record<string, number> = {};
  for (const [, backend, speed] of stdout.matchAll(/flink (\w+) .*?([\d.]+) events\/s/g)) {
    if (backend !== undefined) speeds[backend] = Number(speed);
  }
  if (speeds.hashmap === undefined) throw new Error(`Flink's run printed no figure for hashmap: ${stdout.slice(-500)}`);
  return speeds;
}
