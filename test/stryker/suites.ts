/**
 * Every suite that StrykerJS runs against a mutant, as one file: it starts afresh for each of some thousand mutants, and
 * loading the modules once rather than once a file is most of what a mutant costs.
 */
import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { describe } from "vitest";

/** They go through every call of a history once for each fault: half a minute a mutant. */
const TOO_LONG = /-crash\.test\.ts$|interleavings\.test\.ts$|restore-dynamodb\.test\.ts$/;
/** They hold other rooms, or a page of the docs, which is not in StrykerJS's copy. */
const OF_OTHERS = /(attribute-value|cases|conditional-write|item-keys|item-size|positions|utf8-order)\.test\.ts$/;

const test = join(import.meta.dirname, "..");
const files = ["unit/batch", "unit/checkpoint", "unit/restore", "property", "protocol"]
  .flatMap((folder) => suitesIn(join(test, folder)))
  .filter((file) => !TOO_LONG.test(file) && !OF_OTHERS.test(file));

for (const file of files) {
  describe(basename(file), async () => {
    await import(/* @vite-ignore */ file);
  });
}

function suitesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith(".test.ts"))
      .map((name) => join(folder, name));
  } catch {
    return [];
  }
}
