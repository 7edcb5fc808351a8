/** Takes snapshots of a filled state table, or restores them into an empty one, and says how much memory that took. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { onTime } from "../examples/flights/on-time.ts";
import { localSurroundings } from "../local/surroundings.ts";
import { describeApp } from "../shared/app/app-description.ts";
import type { AppResources } from "../shared/app/app-resources.ts";
import { defineApp } from "../shared/app/define-app.ts";
import { createControlTable } from "../shared/control/dynamodb/control-table.ts";
import { carryOnRestore } from "../shared/restore/carry-on.ts";
import { requestRestore } from "../shared/restore/restore.ts";
import { createCoordinatorHandler } from "../shared/runtime/coordinator-handler.ts";
import { createFunctionHandler } from "../shared/runtime/event-handler.ts";
import { openStores } from "../shared/runtime/open-resources.ts";
import { createStateTable } from "../shared/state/dynamodb/state-table.ts";
import { memorySource } from "./memory-source.ts";

export interface MemoryWork {
  readonly step: "snapshot" | "restore";
  readonly endpoint: string;
  readonly storageUrl: string;
  readonly tables: { readonly control: string; readonly state: string };
  /** How often: so that few keys keep the process as busy as many do. */
  readonly repeats: number;
}

export interface MemoryFigures {
  /** The most that the process ever held, as the operating system counts it. */
  readonly peakRssBytes: number;
  /** The most that was in use right after a full collection: heap, buffers and all else that V8 knows of. */
  readonly peakLiveBytes: number;
  /** What was in use before the first step, collected too. */
  readonly idleLiveBytes: number;
  /** Keys of the last repeat. */
  readonly keys: number;
  readonly milliseconds: number;
}

const SAMPLE_MS = 250;

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

function liveBytes(): number {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

async function measure(work: MemoryWork): Promise<MemoryFigures> {
  const surroundings = localSurroundings(work.endpoint, () => {});
  const app = defineApp({ name: "bench", functions: [{ function: onTime, source: "flights" }] });
  const description = describeApp(app);
  const tables = { control: work.tables.control, state: { [onTime.name]: work.tables.state } };
  const access = { client: await surroundings.dynamodb(), ...surroundings };
  await createControlTable(access, tables.control);
  await createStateTable(access, work.tables.state);
  const stores = await openStores({ app: description, tables, storageUrl: work.storageUrl, sources: {} }, surroundings);
  const { clock, randomness, observe } = surroundings;
  const source = memorySource("flights", []);
  const resources: AppResources = { app: description, ...stores, clock, randomness, observe, sourceOf: () => source };
  const handler = createFunctionHandler(app, onTime.name, resources);
  const deadlineMs = Number.POSITIVE_INFINITY;
  const replay: Parameters<typeof carryOnRestore>[1]["replay"] = (request) => handler.replay(request, { deadlineMs });
  const coordinate = createCoordinatorHandler(resources, { replay, pollMs: 25 });

  const snapshot = async (): Promise<number> => {
    const answer = await coordinate({ deadlineMs, trigger: {} });
    if (answer.did !== "checkpoint" || answer.checkpoint.outcome !== "completed") {
      throw new Error(`No checkpoint was taken: ${JSON.stringify(answer)}`);
    }
    return answer.checkpoint.keys;
  };
  const restore = async (): Promise<number> => {
    const { keys } = await requestRestore(resources);
    const { outcome } = await carryOnRestore(resources, { deadlineMs, replay });
    if (outcome !== "finished") throw new Error(`The restore ended as ${outcome}.`);
    return keys ?? 0;
  };

  const idleLiveBytes = liveBytes();
  let peakLiveBytes = idleLiveBytes;
  const sampling = setInterval(() => {
    peakLiveBytes = Math.max(peakLiveBytes, liveBytes());
  }, SAMPLE_MS);
  const startedAt = performance.now();
  let keys = 0;
  for (let i = 0; i < work.repeats; i++) keys = await (work.step === "snapshot" ? snapshot : restore)();
  const milliseconds = performance.now() - startedAt;
  clearInterval(sampling);
  await stores.close();
  surroundings.close();
  const peakRssBytes = process.resourceUsage().maxRSS * 1024;
  return { peakRssBytes, peakLiveBytes, idleLiveBytes, keys, milliseconds };
}

process.on("message", async (work: string) => {
  process.send?.(await measure(JSON.parse(work) as MemoryWork));
});
process.on("disconnect", () => process.exit());
