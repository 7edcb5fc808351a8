/** Commands as a reader types them: lines for a shell, in the repository's root. */
import { spawn } from "node:child_process";
import path from "node:path";

const root = path.resolve(import.meta.dirname, "../../..");

export interface CommandOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** @default the repository's root */
  readonly cwd?: string;
  /** @default 600,000 */
  readonly timeoutMs?: number;
}

export interface CommandAnswer {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

/** Runs lines in one shell, which stops at the first that fails. @throws Error when one does, with what it said */
export async function runCommand(lines: string, options: CommandOptions = {}): Promise<string> {
  const { stdout, stderr, code } = await tryCommand(lines, options);
  if (code === 0) return stdout;
  throw new Error(`${lines}\nended with ${code}:\n${stdout.slice(-4_000)}${stderr.slice(-4_000)}`);
}

/** The same, for commands that are expected to fail. */
export function tryCommand(lines: string, options: CommandOptions = {}): Promise<CommandAnswer> {
  const { env = {}, cwd = root, timeoutMs = 600_000 } = options;
  return new Promise((resolve, reject) => {
    const child = spawn("bash", ["-euo", "pipefail", "-c", lines], {
      cwd,
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
      // A group of its own, so that what the shell started ends with it.
      detached: true,
    });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk: Buffer) => {
      stdout += chunk;
    });
    child.stderr.on("data", (chunk: Buffer) => {
      stderr += chunk;
    });
    const timer = setTimeout(() => {
      stderr += `\nStopped after ${timeoutMs} ms.`;
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    }, timeoutMs);
    child.once("error", reject);
    child.once("close", (code) => {
      clearTimeout(timer);
      resolve({ stdout, stderr, code: code ?? 1 });
    });
  });
}
