/**
 * The one thing that these tests do behind the endpoints' back: killing a function's process, as a machine that goes
 * away does. A function's processes and containers are known by their environment.
 */
import { readdir, readFile } from "node:fs/promises";
import { functionsInContainers, killInContainers } from "./function-containers.ts";

/**
 * Sends SIGKILL to the processes that run a function's handler. What Lambda keeps around them starts another.
 * @returns how many environments of the function lost theirs
 */
export async function killFunction(
  functionName: string,
  { environmentsMax = Number.POSITIVE_INFINITY }: { readonly environmentsMax?: number } = {},
): Promise<number> {
  return functionsInContainers()
    ? killInContainers(functionName, environmentsMax)
    : killProcesses(functionName, environmentsMax);
}

async function killProcesses(functionName: string, processesMax: number): Promise<number> {
  const found = await processesOf(functionName);
  const parents = new Set(found.map(({ parent }) => parent));
  // The handler's process is the last of the chain: init, runtime, handler.
  const handlers = found.filter(({ pid }) => !parents.has(pid)).slice(0, processesMax);
  return handlers
    .map(({ pid }) => pid)
    .filter((pid) => {
      try {
        return process.kill(pid, "SIGKILL");
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
        throw new Error(
          `The process ${pid} of ${functionName} cannot be killed: run these tests as its user or as root.`,
          {
            cause: error,
          },
        );
      }
    }).length;
}

async function processesOf(functionName: string): Promise<{ readonly pid: number; readonly parent: number }[]> {
  const wanted = `\0AWS_LAMBDA_FUNCTION_NAME=${functionName}\0`;
  const found: { readonly pid: number; readonly parent: number }[] = [];
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const environment = await readFile(`/proc/${name}/environ`, "latin1");
      if (!`\0${environment}`.includes(wanted)) continue;
      const parent = /^PPid:\s*(\d+)$/m.exec(await readFile(`/proc/${name}/status`, "latin1"))?.[1];
      found.push({ pid: Number(name), parent: Number(parent) });
    } catch {
      // Ended since, or somebody else's.
    }
  }
  return found;
}
