/** Packages that some commands need and a Lambda never does: asked for by name when they are missing. */
import { TidemarkError } from "../shared/errors.ts";

/**
 * Loads an optional peer dependency.
 * @param name the package, as in `npm install <name>`
 * @param why what needs it, as the subject of a sentence: "The embedded engine"
 * @throws TidemarkError `fix-configuration` with the line that installs it, when it is not installed
 */
export async function importOptional<Module>(name: string, why: string): Promise<Module> {
  try {
    return (await import(name)) as Module;
  } catch (thrown) {
    if (!isMissing(thrown, name)) throw thrown;
    throw new TidemarkError(
      "fix-configuration",
      `${why} needs the package ${name}, which is not installed: npm install ${name}`,
      { cause: thrown },
    );
  }
}

/** The package itself is missing; a package that is there and lacks something of its own is broken, not missing. */
function isMissing(thrown: unknown, name: string): boolean {
  return (
    thrown instanceof Error &&
    "code" in thrown &&
    thrown.code === "ERR_MODULE_NOT_FOUND" &&
    thrown.message.includes(`'${name}'`)
  );
}
