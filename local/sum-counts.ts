import type { RequestCounts } from "../shared/dynamodb/request-meter.ts";

/** The requests of several processes together. */
export function sumCounts(parts: readonly (RequestCounts | undefined)[]): RequestCounts {
  const commands: Record<string, number> = {};
  const sum = { requests: 0, readUnits: 0, writeUnits: 0, failedConditions: 0, bytesSent: 0, bytesReceived: 0 };
  for (const part of parts) {
    if (part === undefined) continue;
    for (const [name, count] of Object.entries(part.commands)) commands[name] = (commands[name] ?? 0) + count;
    for (const name of Object.keys(sum) as (keyof typeof sum)[]) sum[name] += part[name];
  }
  return { commands, ...sum };
}
