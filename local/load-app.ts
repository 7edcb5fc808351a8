/** Loads a user's app module: TypeScript through jiti (Node 20 cannot), JavaScript by a plain import. */
import { existsSync, statSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { types } from "node:util";
import { createJiti } from "jiti";
import { type AppDefinition, isApp } from "../shared/app/define-app.ts";
import { asError, describeThrown, TidemarkError } from "../shared/errors.ts";

const TYPESCRIPT = new Set([".ts", ".mts", ".cts", ".tsx"]);

/**
 * The app that a module exports by default.
 * @throws TidemarkError `fix-configuration` when there is no such file, it exports no app, or it throws (with what it threw)
 */
export async function loadApp(file: string): Promise<AppDefinition> {
  const absolute = path.resolve(file);
  if (!existsSync(absolute) || !statSync(absolute).isFile()) {
    throw new TidemarkError(
      "fix-configuration",
      `There is no app module ${absolute}. Give the path of a file whose default export is defineApp({ … }).`,
    );
  }
  const loaded = await load(absolute);
  if (isApp(loaded)) return loaded;
  throw new TidemarkError(
    "fix-configuration",
    `${absolute} ${loaded === undefined ? "has no default export" : "exports by default what defineApp did not make"}. End it with: export default defineApp({ name: "…", functions: [{ function: …, source: "…" }] });`,
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
    // What defineApp and defineFunction refuse says more by itself.
    const said = describeThrown(cause).replace(/^TidemarkError: /, "");
    throw new TidemarkError("fix-configuration", `The app module ${file} cannot be loaded: ${said}${placeOf(cause)}`, {
      cause,
    });
  }
}

/** Node says only in the stack where the syntax is wrong, and it may be in a file that the app imports. */
function placeOf(thrown: unknown): string {
  if (!types.isNativeError(thrown) || asError(thrown).name !== "SyntaxError") return "";
  const [, place] = /^(file:\/\/\S+:\d+)\n/.exec(asError(thrown).stack ?? "") ?? [];
  return place === undefined ? "" : ` (${place})`;
}
