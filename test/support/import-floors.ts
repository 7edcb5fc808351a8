/**
 * Which file may import which: the floors of the house. An arrow (import) only ever runs downwards; neighbours on one
 * floor do not know each other, and only the wiring above them knows a port's adapters.
 */
import path from "node:path";
import ts from "typescript";

/** The room that a path belongs to, by the longest prefix that matches, and the floor it stands on. */
const FLOORS: Readonly<Record<string, number>> = {
  "shared/errors.ts": 0,
  "shared/environment.ts": 0,
  "shared/for-each.ts": 0,
  "shared/built-ins.ts": 0,
  "shared/json/": 0,
  "shared/dynamodb/": 0,
  "shared/function/": 1,
  "shared/state/": 1,
  "shared/storage/": 1,
  "shared/source/": 1,
  "shared/control/": 1,
  "shared/app/": 2,
  "shared/dead-letter/": 2,
  "shared/decode/": 2,
  "shared/observer.ts": 2,
  "shared/batch/": 3,
  "shared/checkpoint/": 3,
  "shared/restore/": 4,
  "shared/runtime/": 5,
  "shared/lambda/": 6,
  "local/": 6,
  "functions/": 7,
  "cli/": 8,
  "examples/": 9,
  "infra/": 9,
  "bench/": 10,
};

/** The package's face: it gathers what users import from any floor. */
const FREE = new Set(["shared/index.ts"]);

/** What neighbours may take from each other all the same. */
const SHARED_BY_NEIGHBOURS = new Set([
  // A position is a word of the whole protocol: state items and control items are made of it.
  "shared/source/position.ts",
  // An image is what functions upgrade and state items hold.
  "shared/state/state-item.ts",
  // What an app runs on includes who watches it.
  "shared/observer.ts",
  // The example app is what the example's stack deploys.
  "examples/flights/app.ts",
]);

/** The floor from which on adapters are chosen: below it, code knows ports only. */
const WIRING_FLOOR = 5;

/** Packages that shared code must run without: they belong to deployment. */
const NOT_IN_SHARED = ["aws-cdk-lib", "constructs"];

interface Room {
  readonly name: string;
  readonly floor: number;
  /** The folder of its own within the port's room; undefined for ports and the data beside them. */
  readonly adapter: string | undefined;
}

/** The room of a file, given relative to the repository's root; undefined: it stands in none. */
export function roomOf(file: string): Room | undefined {
  const entry = Object.entries(FLOORS).find(([prefix]) =>
    prefix.endsWith("/") ? file.startsWith(prefix) : file === prefix,
  );
  if (entry === undefined) return undefined;
  const [name, floor] = entry;
  const inside = file.slice(name.length).split("/");
  return { name, floor, adapter: floor === 1 && inside.length > 1 ? inside[0] : undefined };
}

/** Why `importer` may not import `target` (a file of this repository), or undefined when it may. */
function forbidden(importer: string, target: string): string | undefined {
  if (FREE.has(importer)) return undefined;
  const from = roomOf(importer);
  const to = roomOf(target);
  if (from === undefined) return "stands in no room of the layout";
  if (FREE.has(target)) return from.name.startsWith("shared/") ? "imports the package's face from below" : undefined;
  if (to === undefined) return `imports ${target}, which stands in no room of the layout`;
  if (from.name === to.name) {
    return from.adapter !== undefined && to.adapter !== undefined && from.adapter !== to.adapter
      ? `imports the sibling adapter ${target}`
      : undefined;
  }
  if (to.floor > from.floor) return `imports upwards: ${target} is on floor ${to.floor}, it is on floor ${from.floor}`;
  if (to.floor === from.floor && to.floor > 0) {
    // An adapter may be built on another port, never on another adapter.
    if (from.adapter !== undefined && to.adapter === undefined) return undefined;
    return SHARED_BY_NEIGHBOURS.has(target) ? undefined : `imports its neighbour ${target}`;
  }
  if (to.adapter !== undefined && from.floor < WIRING_FLOOR) return `imports the adapter ${target} instead of its port`;
  return undefined;
}

/** Every import, type import, re-export and dynamic import of a source. */
function importsOf(source: string): string[] {
  return ts.preProcessFile(source, true, true).importedFiles.map((imported) => imported.fileName);
}

/**
 * The imports that break the floors, one sentence each.
 * @param files sources by their path relative to the repository's root, `/`-separated
 */
export function violationsOf(files: ReadonlyMap<string, string>): string[] {
  const found: string[] = [];
  for (const [file, source] of files) {
    if (!FREE.has(file) && roomOf(file) === undefined) found.push(`${file} stands in no room of the layout`);
    for (const specifier of importsOf(source)) {
      if (specifier.startsWith(".")) {
        const reason = forbidden(file, path.posix.join(path.posix.dirname(file), specifier));
        if (reason !== undefined) found.push(`${file} ${reason}`);
      } else if (
        file.startsWith("shared/") &&
        NOT_IN_SHARED.some((name) => specifier === name || specifier.startsWith(`${name}/`))
      ) {
        found.push(`${file} imports ${specifier}: shared code runs without deployment's packages`);
      }
    }
  }
  return found;
}

/**
 * Files that import each other, type imports included, each circle as the way around it.
 * @param files as {@link violationsOf} takes them
 */
export function circlesOf(files: ReadonlyMap<string, string>): string[] {
  const circles: string[] = [];
  const done = new Set<string>();
  const way: string[] = [];
  const visit = (file: string): void => {
    const source = files.get(file);
    if (source === undefined || done.has(file)) return;
    const from = way.indexOf(file);
    if (from >= 0) {
      circles.push([...way.slice(from), file].join(" → "));
      return;
    }
    way.push(file);
    for (const specifier of importsOf(source)) {
      if (specifier.startsWith(".")) visit(path.posix.join(path.posix.dirname(file), specifier));
    }
    way.pop();
    done.add(file);
  };
  for (const file of files.keys()) visit(file);
  return circles;
}
