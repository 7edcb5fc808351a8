/**
 * A home is its owner's alone: it holds every state and the secret of its DynamoDB. Its folder is 0700 and its files are
 * 0600, whatever the umask says; one that is open to others is closed, with all that is in it.
 */
import { chmodSync, lstatSync, mkdirSync, readdirSync, type Stats, statSync } from "node:fs";
import path from "node:path";
import { describeThrown, TidemarkError } from "../shared/errors.ts";

const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;
const OTHERS = 0o077;
const STICKY = 0o1000;

/** What only a home has: any other folder's modes are its owner's affair. */
const OF_A_HOME = /^(?:settings\.json|secret|(?:run|dynamodb)\.lock\.[1-9]\d*)$/;

/** What had to be closed. */
export interface Mended {
  /** The mode that the folder had, in octal digits. */
  readonly mode: string;
}

/**
 * Makes the folder of a home, or closes it to others. Crashing half-way leaves the folder itself open, so that the next
 * call closes the rest: it is closed last.
 * @returns what was mended; undefined: nothing had to be
 * @throws TidemarkError `fix-configuration` when the folder cannot be made or closed, or is not Tidemark's to close
 */
export function keepPrivate(root: string): Mended | undefined {
  const found = statOf(root) ?? make(root);
  if (found === undefined || process.platform === "win32") return undefined;
  if (!found.isDirectory()) {
    throw refusal(root, "is a file, and a home is a folder. Give a folder of its own: --home FOLDER");
  }
  if ((found.mode & OTHERS) === 0) return undefined;
  const mode = (found.mode & 0o777).toString(8);
  if ((found.mode & STICKY) !== 0 || !isHome(root)) {
    throw refusal(
      root,
      `is open to other users (mode ${mode}) and holds other things than a home. Give a folder of its own: --home ${path.join(root, ".tidemark")}; or close it yourself: chmod 700 ${root}`,
    );
  }
  try {
    closeBelow(root);
    chmodSync(root, FOLDER_MODE);
  } catch (cause) {
    throw refusal(
      root,
      `is open to other users (mode ${mode}) and cannot be closed: ${describeThrown(cause)}. Have its owner close it (chmod -R go-rwx ${root}), or give a home of your own: --home FOLDER`,
      cause,
    );
  }
  return { mode };
}

function statOf(root: string): Stats | undefined {
  try {
    return statSync(root);
  } catch (thrown) {
    if (thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT") return undefined;
    throw refusal(root, `cannot be used: ${describeThrown(thrown)}. Give a folder that can be: --home FOLDER`, thrown);
  }
}

/** @returns undefined when it was made; what there is when another process was faster */
function make(root: string): Stats | undefined {
  try {
    mkdirSync(path.dirname(root), { recursive: true });
    mkdirSync(root, { mode: FOLDER_MODE });
    // A umask may have taken from its owner as well.
    chmodSync(root, FOLDER_MODE);
    return undefined;
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "EEXIST") return statSync(root);
    throw new TidemarkError(
      "fix-configuration",
      `The home ${root} cannot be written: ${describeThrown(cause)}. Give a folder that can be: --home FOLDER.`,
      { cause },
    );
  }
}

/** An empty folder is one that is about to be a home. */
function isHome(root: string): boolean {
  try {
    const names = readdirSync(root);
    return names.length === 0 || names.some((name) => OF_A_HOME.test(name));
  } catch (cause) {
    throw refusal(root, `cannot be read: ${describeThrown(cause)}. Give a home of your own: --home FOLDER`, cause);
  }
}

/** Links are left alone: what they lead to is not the home's. */
function closeBelow(folder: string): void {
  for (const name of readdirSync(folder)) {
    const file = path.join(folder, name);
    const found = lstatOf(file);
    if (found?.isDirectory() === true) {
      closeBelow(file);
      chmodSync(file, FOLDER_MODE);
    } else if (found?.isFile() === true) {
      chmodSync(file, FILE_MODE);
    }
  }
}

/** Undefined: another process has removed it meanwhile. */
function lstatOf(file: string): Stats | undefined {
  return lstatSync(file, { throwIfNoEntry: false });
}

function refusal(root: string, why: string, cause?: unknown): TidemarkError {
  return new TidemarkError("fix-configuration", `The home ${root} ${why}.`, { cause });
}
