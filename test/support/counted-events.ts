/** Event files for the counting app, and what its state must be: computed by a plain pass over the files. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { type Counted, link } from "./counting-app.ts";

export interface EventFiles {
  readonly folder: string;
  /** What `--source` takes. */
  readonly glob: string;
  readonly home: string;
  /** The state of every key after all events that the files hold now. */
  expected(): Map<string, Counted>;
  remove(): void;
}

export function writeEventFiles(options: {
  readonly files: number;
  readonly events: number;
  readonly keys: number;
}): EventFiles {
  const folder = mkdtempSync(path.join(tmpdir(), "tidemark-events-"));
  for (let file = 0; file < options.files; file++) {
    const lines = Array.from(
      { length: options.events },
      (_, i) => `${JSON.stringify({ key: `k${(i * 7 + file) % options.keys}`, n: i + file })}\n`,
    );
    writeFileSync(path.join(folder, `events-${file}.jsonl`), lines.join(""));
  }
  return {
    folder,
    glob: path.join(folder, "events-*.jsonl"),
    home: path.join(folder, "home"),
    expected: () => foldFiles(folder),
    remove: () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }),
  };
}

function foldFiles(folder: string): Map<string, Counted> {
  const states = new Map<string, Counted>();
  for (const split of readdirSync(folder).filter((name) => name.endsWith(".jsonl"))) {
    for (const line of readFileSync(path.join(folder, split), "utf8").split("\n")) {
      if (line === "") continue;
      const { key, n } = JSON.parse(line) as { key: string; n: number };
      const state = states.get(key) ?? { count: 0, chains: {} };
      states.set(key, {
        count: state.count + 1,
        chains: { ...state.chains, [split]: link(state.chains[split] ?? 0, n) },
      });
    }
  }
  return states;
}
