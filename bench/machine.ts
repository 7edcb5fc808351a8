import { availableParallelism, cpus, loadavg, totalmem } from "node:os";

export interface Machine {
  readonly cores: number;
  readonly processor: string;
  readonly memoryBytes: number;
  readonly node: string;
  /** Processes that wanted a core over the last minute, before the benchmark began: what is more than 0 is other work. */
  readonly loadBefore: number;
}

export function describeMachine(): Machine {
  return {
    cores: availableParallelism(),
    processor: cpus()[0]?.model ?? "unknown",
    memoryBytes: totalmem(),
    node: process.version,
    loadBefore: loadavg()[0] ?? 0,
  };
}

export function machineLine({ cores, processor, memoryBytes, node, loadBefore }: Machine): string {
  const gigabytes = (memoryBytes / 2 ** 30).toFixed(0);
  return `${cores} cores (${processor}), ${gigabytes} GB, Node ${node.slice(1)}, load before the run ${loadBefore.toFixed(1)}`;
}
