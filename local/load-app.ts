/** Loads a user's app module: TypeScript through jiti (Node 20 cannot), JavaScript by a plain import. */
import { existsSync, statSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { types } from "node:util";
import { createJiti } from "jiti";
import { type AppDefinition, isApp } from "../shared/app/define-app.ts";
import { systemClock } from "../shared/environment.ts";
import { asError, describeThrown, TidemarkError } from "../shared/errors.ts";

const TYPESCRIPT = new Set([".ts", ".mts", ".cts", ".tsx"]);

/** How long an app module may take to load, in ms: one that waits at its top level may wait for ever. */
export const LOAD_MS = 30_000;

/**
 * The app that a module exports by default.
 * @param options.loadMs how long it may take, in ms. @default 30_000
 * @throws TidemarkError `fix-configuration` when there is no such file, it exports no app, it throws or rejects (with what
 *   it threw), or it is not loaded in time
 */
export async function loadApp(file: string, options: { readonly loadMs?: number } = {}): Promise<AppDefinition> {
  if (file.trim() === "") {
    throw new TidemarkError(
      "fix-configuration",
      `The app module is ${JSON.stringify(file)}; it must be the path of a file whose default export is defineApp({ … }).`,
    );
  }
  const absolute = path.resolve(file);
  if (!existsSync(absolute) || !statSync(absolute).isFile()) {
    throw new TidemarkError(
      "fix-configuration",
      `There is no app module ${absolute}. Give the path of a file whose default export is defineApp({ … }).`,
    );
  }
  const loaded = await inTime(load(absolute), absolute, options.loadMs ?? LOAD_MS);
  if (isApp(loaded)) return loaded;
  throw new TidemarkError(
    "fix-configuration",
    `${absolute} ${loaded === undefined ? "has no default export" : "exports by default what defineApp did not make"}. End it with: export default defineApp({ name: "…", functions: [{ function: …, source: "…" }] });`,
  );
}

async function inTime(loading: Promise<unknown>, file: string, loadMs: number): Promise<unknown> {
  const ended = new AbortController();
  try {
    return await Promise.race([
      loading,
      systemClock.sleep(loadMs, ended.signal).then(() => {
        if (!ended.signal.aborted) throw tooSlow(file, loadMs);
      }),
    ]);
  } finally {
    ended.abort();
  }
}

/** An app module that was not loaded in time. */
export function tooSlow(file: string, loadMs: number): TidemarkError {
  return new TidemarkError(
    "fix-configuration",
    `The app module ${file} was not loaded within ${loadMs / 1_000} s. Does it, or what it imports, wait at its top level (await) for what never comes, or loop? A module of an app only defines it.`,
  );
}

async function load(file: string): Promise<unknown> {
  try {
    const namespace = (
      TYPESCRIPT.has(path.extname(file))
        ? await createJiti(pathToFileURL(file).href, { interopDefault: false }).import(file)
        : await import(pathToFileURL(file).href)
    ) as { readonly default?: unknown };
    return namespace.default;
  } catch (cause) {
    throw notLoaded(file, cause);
  }
}

/** An app module that threw while it was loaded, or rejected a promise that nobody waits for. */
export function notLoaded(file: string, cause: unknown): TidemarkError {
  // What defineApp and defineFunction refuse says more by itself.
  const said = describeThrown(cause).replace(/^TidemarkError: /, "");
  return new TidemarkError("fix-configuration", `The app module ${file} cannot be loaded: ${said}${placeOf(cause)}`, {
    cause,
  });
}

/** Node says only in the stack where the syntax is wrong, and it may be in a file that the app imports. */
function placeOf(thrown: unknown): string {
  if (!types.isNativeError(thrown) || asError(thrown).name !== "SyntaxError") return "";
  const [, place] = /^(file:\/\/\S+:\d+)\n/.exec(asError(thrown).stack ?? "") ?? [];
  return place === undefined ? "" : ` (${place})`;
}
