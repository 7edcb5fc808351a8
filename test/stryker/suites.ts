/** The suites that StrykerJS runs against a mutant, and the tests of theirs that it does not. */
import { readdirSync } from "node:fs";

/** What these hold is in other rooms: codecs of items, positions, the list of cases in the docs. */
const OF_OTHERS = /(attribute-value|cases|conditional-write|item-keys|item-size|positions|utf8-order)\.test\.ts$/;
/** On services that have to be started. */
const ON_SERVICES = /restore-dynamodb\.test\.ts$/;
/** They go through every call of a history once for each fault, or through megabytes: up to a second and more for each mutant. */
export const TOO_LONG =
  /(at|held.* at) (every|any|each)( of its)? calls?\b|arrives? (late|long after)|whichever call|one of which dies|in bounded memory|frees no address/;

const FOLDERS = ["unit/batch", "unit/checkpoint", "unit/restore", "property", "protocol"].map((name) => `test/${name}`);

/** Of the working directory, which is StrykerJS's copy once it runs them. */
export function suites(): string[] {
  const files = FOLDERS.flatMap((folder) => readdirSync(folder).map((name) => `${folder}/${name}`));
  const ours = files.filter((file) => file.endsWith(".test.ts") && !OF_OTHERS.test(file) && !ON_SERVICES.test(file));
  return ["test/stryker/histories.ts", ...ours];
}
