/** A process of its own for `storage-file.test.ts`: does one thing to a `file:` storage until it is done or killed. */
import { systemClock, systemRandomness } from "../../shared/environment.ts";
import { readWhole } from "../../shared/storage/checkpoint-storage.ts";
import { openCheckpointStorage } from "../../shared/storage/open-storage.ts";

const [task = "", url = "", path = "", count = "0"] = process.argv.slice(2);
const storage = await openCheckpointStorage(url, { clock: systemClock, randomness: systemRandomness });
const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

async function* endless(): AsyncGenerator<Uint8Array> {
  for (;;) {
    yield new Uint8Array(256 * 1024);
    say("chunk");
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Reads, adds one, replaces; says every value that was answered as replaced. */
async function increment(times: number): Promise<void> {
  for (let done = 0; done < times; ) {
    const seen = await readWhole(storage, path);
    const value = Number(seen?.text.trim()) + 1;
    const body = Buffer.from(`${value}\n`.padStart(9000));
    if ((await storage.replace(path, body, seen?.version ?? "")) !== "replaced") continue;
    done += 1;
    say(String(value));
  }
}

switch (task) {
  case "write":
    await storage.write(path, endless());
    break;
  case "create":
    for (let n = 0; n < Number(count); n += 1) {
      const answer = await storage.createExclusively(`${path}-${n}`, Buffer.from(`${process.pid}`.repeat(2000)));
      if (answer === "created") say(String(n));
    }
    break;
  case "increment":
    await increment(Number(count));
    break;
  default:
    throw new Error(`no such task: ${task}`);
}
