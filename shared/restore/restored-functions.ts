/** Which function of the app takes over the state of which function of a checkpoint. Pure. */
import type { AppDescription, FunctionDescription } from "../app/app-description.ts";
import type { Manifest, ManifestFile, ManifestFunction, ManifestSplit } from "../checkpoint/manifest.ts";

export interface RestoredFunctions {
  /** Function of the app -> function of the manifest, as a plan records it. */
  readonly functions: { readonly [name: string]: string };
  /** Functions of the app of which the checkpoint knows nothing: they start from their sources' beginning. */
  readonly startEmpty: readonly string[];
  /** Functions of the checkpoint that the app no longer has: their state is left behind. */
  readonly leftBehind: readonly string[];
}

/** A function finds its state by its name, else by its `previousName` unless another function has that name. */
export function matchFunctions(app: AppDescription, manifest: Manifest): RestoredFunctions {
  const stored = new Set(manifest.functions.map(({ name }) => name));
  const taken = new Set(app.functions.map(({ name }) => name).filter((name) => stored.has(name)));
  const functions: Record<string, string> = {};
  const startEmpty: string[] = [];
  for (const { name, previousName } of app.functions) {
    if (stored.has(name)) {
      functions[name] = name;
    } else if (previousName !== undefined && stored.has(previousName) && !taken.has(previousName)) {
      functions[name] = previousName;
      taken.add(previousName);
    } else {
      startEmpty.push(name);
    }
  }
  return { functions, startEmpty, leftBehind: [...stored].filter((name) => !taken.has(name)) };
}

/** One function of the app with what a plan has it take over; without `from`, it starts empty. */
export interface RestoredFunction {
  readonly description: FunctionDescription;
  readonly from?: ManifestFunction;
  readonly splits: ReadonlyMap<string, ManifestSplit>;
  readonly files: readonly ManifestFile[];
}

/** The app's functions under a plan's mapping. */
export function restoredFunctions(
  app: AppDescription,
  manifest: Manifest,
  functions: { readonly [name: string]: string },
): RestoredFunction[] {
  return app.functions.map((description) => {
    const from = manifest.functions.find(({ name }) => name === functions[description.name]);
    if (from === undefined) return { description, splits: new Map(), files: [] };
    return {
      description,
      from,
      splits: new Map(from.splits.map((split) => [split.split, split])),
      files: manifest.files.filter((file) => file.function === from.name),
    };
  });
}
