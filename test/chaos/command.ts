/** The shipped command line, as processes of their own. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** Compiled beside this module. */
const main = fileURLToPath(new URL("../../cli/main.js", import.meta.url));
const TEXT_MAX = 16_000;

export interface Ended {
  /** Null: it was killed. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly env: NodeJS.ProcessEnv;
  /** SIGKILL when it aborts. */
  readonly signal?: AbortSignal;
  /** SIGKILL so long after its start, in ms, if it has not ended by then. */
  readonly killAfterMs?: number;
  /** Told each line of stderr. */
  readonly onLine?: (line: string) => void;
}

export function startCommand(
  args: readonly string[],
  { env, signal: stop, killAfterMs, onLine }: CommandOptions,
): { readonly child: ChildProcess; readonly ended: Promise<Ended> } {
  const child = spawn(process.execPath, [main, ...args], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  let line = "";
  child.stdout.on("data", (chunk: Buffer) => {
    stdout = (stdout + chunk).slice(-TEXT_MAX);
  });
  child.stderr.on("data", (chunk: Buffer) => {
    stderr = (stderr + chunk).slice(-TEXT_MAX);
    const lines = (line + chunk).split("\n");
    line = lines.pop() ?? "";
    for (const one of lines) onLine?.(one);
  });
  const alarm = killAfterMs === undefined ? undefined : setTimeout(() => child.kill("SIGKILL"), killAfterMs);
  const kill = (): void => void child.kill("SIGKILL");
  if (stop?.aborted === true) kill();
  stop?.addEventListener("abort", kill, { once: true });
  const ended = new Promise<Ended>((resolve) => {
    child.once("close", (code) => {
      clearTimeout(alarm);
      stop?.removeEventListener("abort", kill);
      resolve({ code, stdout, stderr });
    });
  });
  return { child, ended };
}

/** What a process that ended by itself may not have said: a defect of Tidemark's own, not a refusal with a way out. */
export function defectIn({ code, stderr }: Pick<Ended, "code" | "stderr">): string | undefined {
  if (code === null || code === 0) return undefined;
  const report = stderr.split("\n").find((line) => line.includes("report this"));
  if (report !== undefined) return report;
  // A TidemarkError is one line; only what nobody expected is printed with its stack.
  if (/^\s+at .+/m.test(stderr) || !/^error: /m.test(stderr)) return stderr.trim().slice(-2_000) || `exit code ${code}`;
  return undefined;
}

/** Processes that `parent` started and whose command line holds `text`. */
export async function childrenOf(parent: number, text: string): Promise<number[]> {
  const { stdout } = await promisify(execFile)("ps", ["-A", "-o", "pid=,ppid=,args="], { maxBuffer: 16 * 1024 * 1024 });
  return stdout.split("\n").flatMap((line) => {
    const match = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line);
    return match !== null && Number(match[2]) === parent && match[3]?.includes(text) ? [Number(match[1])] : [];
  });
}

/** Sends a signal to a process that may be gone already. @returns whether it was there */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}
