/** The command line as its users run it: a process of its own, from compiled sources. */
import { type ChildProcess, spawn } from "node:child_process";
import path from "node:path";
import { compiled } from "./compiled-tree.ts";

const root = path.resolve(import.meta.dirname, "../..");
const main = compiled("cli/main.ts");

export interface Spawned {
  readonly child: ChildProcess;
  /** What it has said so far. */
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** Resolves once stderr holds the text. @throws when the process ends before */
  says(text: string): Promise<void>;
  readonly ended: Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>;
}

export function startTidemark(args: readonly string[], env: NodeJS.ProcessEnv = {}): Spawned {
  const child = spawn(process.execPath, [main, ...args], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => {
    stdout += chunk;
  });
  child.stderr.on("data", (chunk: Buffer) => {
    stderr += chunk;
    child.emit("said");
  });
  const ended = new Promise<Awaited<Spawned["ended"]>>((resolve) => {
    child.once("close", (code) => resolve({ code, stdout, stderr }));
  });
  return {
    child,
    stdout: () => stdout,
    stderr: () => stderr,
    async says(text) {
      let over = false;
      void ended.then(() => {
        over = true;
        child.emit("said");
      });
      while (!stderr.includes(text)) {
        if (over)
          throw new Error(`tidemark ${args.join(" ")} ended without saying ${JSON.stringify(text)}:\n${stderr}`);
        await new Promise<void>((resolve) => child.once("said", () => resolve()));
      }
    },
    ended,
  };
}

export function tidemark(args: readonly string[], env?: NodeJS.ProcessEnv): Spawned["ended"] {
  return startTidemark(args, env).ended;
}
