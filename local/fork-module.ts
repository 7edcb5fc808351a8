/** Starts a module of this package as a process of its own, from TypeScript (tests) as from JavaScript (installed). */
import { type ChildProcess, type ForkOptions, fork } from "node:child_process";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

/**
 * @param module a module beside `parent`, without its extension: `"./worker-process"`
 * @param parent the `import.meta.url` of the caller
 */
export function forkModule(
  module: string,
  parent: string,
  args: readonly string[] = [],
  options: ForkOptions = {},
): ChildProcess {
  const extension = path.extname(fileURLToPath(parent));
  const entry = fileURLToPath(new URL(`${module}${extension}`, parent));
  return fork(entry, args, {
    ...options,
    // Which Node runs is the user's choice, and the AWS SDK's advice on it would be repeated by every process.
    env: { ...process.env, AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true", ...options.env },
    execArgv: [...(options.execArgv ?? []), ...(extension === ".ts" ? ["--import", jitiRegister()] : [])],
    // Structured clone keeps what JSON would lose, and large events are not turned into text twice.
    serialization: "advanced",
  });
}

/** `--import` would look a bare name up from the working folder, so it gets the file. */
function jitiRegister(): string {
  const manifest = createRequire(import.meta.url).resolve("jiti/package.json");
  return new URL("lib/jiti-register.mjs", pathToFileURL(manifest)).href;
}
