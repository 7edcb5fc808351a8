/** How many worker processes this machine can bear. */
import { availableParallelism, totalmem } from "node:os";

/** A worker has 60 to 150 MB, the user's code included, and half of the memory is left to everything else. */
const WORKER_BYTES = 128 * 1024 * 1024;
const MEMORY_SHARE = 0.5;
/** Workers wait for DynamoDB most of their time, but each starts by loading its code. */
const WORKERS_PER_PROCESSOR = 8;

/** At least 1. A container's own limits count. */
export function workersMax(machine = thisMachine()): number {
  const byMemory = Math.floor((machine.memoryBytes * MEMORY_SHARE) / WORKER_BYTES);
  return Math.max(1, Math.min(byMemory, machine.processors * WORKERS_PER_PROCESSOR));
}

function thisMachine(): { readonly processors: number; readonly memoryBytes: number } {
  // Without a limit it answers 0, or more than there is.
  const limitBytes = process.constrainedMemory() || Number.POSITIVE_INFINITY;
  return { processors: availableParallelism(), memoryBytes: Math.min(totalmem(), limitBytes) };
}
