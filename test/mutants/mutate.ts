/** Puts a mutant's edits into sources; the working tree is only read. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Mutant } from "./mutant.ts";

const root = join(import.meta.dirname, "../..");

/**
 * The mutated files: path from the root -> source.
 * @throws Error when a text is not in its file exactly once: the code has moved, and the mutant must follow.
 */
export function mutate({ name, edits }: Mutant): Map<string, string> {
  const sources = new Map<string, string>();
  for (const { file, search, replace } of edits) {
    const source = sources.get(file) ?? readFileSync(join(root, file), "utf8");
    const parts = source.split(search);
    if (parts.length !== 2) {
      throw new Error(`Mutant ${name}: ${file} has the text ${parts.length - 1} times, wanted once: ${search}`);
    }
    sources.set(file, parts.join(replace));
  }
  return sources;
}
