import { appendRedrive, REDRIVE_SPLIT } from "../../shared/dead-letter/redrive-letter.ts";
import { openRedriveSource } from "../../shared/dead-letter/redrive-source.ts";
import { systemClock } from "../../shared/environment.ts";
import { fileEvents } from "../../shared/source/file/file-events.ts";
import { MemoryCheckpointStorage } from "../../shared/storage/memory/memory-storage.ts";
import { sourceContract } from "./source-contract.ts";

/** Letters are looked for every few seconds; a test need not wait so long. */
const clock = { now: systemClock.now, sleep: (ms: number) => systemClock.sleep(Math.min(ms, 20)) };

sourceContract(
  "redrive",
  async (texts) => {
    const storage = new MemoryCheckpointStorage();
    const append = async (more: readonly string[]): Promise<void> => {
      for (const record of more) {
        const letter = {
          function: "on-time",
          split: "flights.jsonl",
          position: "000000000001",
          source: "flights",
          record,
        };
        await appendRedrive(storage, "on-time", letter, { clock });
      }
    };
    await append(texts);
    const options = { storage, functionName: "on-time", original: fileEvents, clock };
    return { source: openRedriveSource(options), split: REDRIVE_SPLIT, append, dispose: () => storage.close() };
  },
  { ends: false, holdsMalformed: true, saysArrival: true },
);
