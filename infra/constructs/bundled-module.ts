import { existsSync } from "node:fs";
import path from "node:path";
import { TidemarkError } from "../../shared/errors.ts";

/** Those that CDK looks for, upwards from where it runs. */
const LOCK_FILES = ["pnpm-lock.yaml", "yarn.lock", "bun.lock", "bun.lockb", "package-lock.json"];

/**
 * The app module as the bundler takes it: relative to the project's root, where it runs, whatever the machine's slashes.
 * @throws TidemarkError `fix-configuration` when it is not within the root
 */
export function bundledModule({
  module,
  projectRoot,
  depsLockFilePath,
}: {
  readonly module: string;
  readonly projectRoot?: string;
  readonly depsLockFilePath?: string;
}): string {
  const ofLockFile = depsLockFilePath === undefined ? lockFolder(process.cwd()) : path.dirname(depsLockFilePath);
  const root = path.resolve(projectRoot ?? ofLockFile);
  const relative = path.relative(root, path.resolve(module));
  if (relative.startsWith("..") || path.isAbsolute(relative)) {
    throw new TidemarkError(
      "fix-configuration",
      `module is ${JSON.stringify(module)}, which is not within ${root}, the root of what is bundled. Set projectRoot and depsLockFilePath to the folder, and the lock file, of the project that has the module.`,
    );
  }
  return relative.split(path.sep).join("/");
}

function lockFolder(from: string): string {
  if (LOCK_FILES.some((name) => existsSync(path.join(from, name)))) return from;
  const parent = path.dirname(from);
  return parent === from ? process.cwd() : lockFolder(parent);
}
