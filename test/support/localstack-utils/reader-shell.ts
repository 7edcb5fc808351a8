/** A reader of the README at a terminal: one shell, into which the README's blocks are pasted one after another. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import type { Readable, Writable } from "node:stream";

const root = path.resolve(import.meta.dirname, "../../..");

/** The lines of the shell block under a heading of a page. */
export function shellBlock(page: "README.md" | "docs/operations.md", heading: string): string {
  const text = readFileSync(path.join(root, page), "utf8");
  const section = text.split(/^#+ /m).find((part) => part.startsWith(`${heading}\n`));
  const block = section === undefined ? undefined : /```sh\n([\s\S]*?)```/.exec(section)?.[1];
  if (block === undefined) throw new Error(`${page} has no shell block under the heading ${JSON.stringify(heading)}.`);
  return block;
}

export const readmeBlock = (heading: string): string => shellBlock("README.md", heading);

export class ReaderShell {
  private readonly child: ChildProcessByStdio<Writable, Readable, Readable>;
  private stdout = "";
  private stderr = "";
  private blocks = 0;

  constructor() {
    this.child = spawn("bash", ["-s"], {
      cwd: root,
      stdio: ["pipe", "pipe", "pipe"],
      // A group of its own, so that what it started ends with it.
      detached: true,
    });
    this.child.stdout.on("data", (chunk: Buffer) => {
      this.stdout += chunk;
    });
    this.child.stderr.on("data", (chunk: Buffer) => {
      this.stderr += chunk;
    });
  }

  /** Pastes lines and waits until the last has ended. @throws Error with what was said, when one of them fails */
  async paste(lines: string, timeoutMs = 600_000): Promise<string> {
    this.blocks += 1;
    const mark = `--- block ${this.blocks} ended with`;
    this.stdout = "";
    this.stderr = "";
    // In braces, with its own input closed: a command that reads would swallow the lines after it.
    this.child.stdin.write(`set -eo pipefail\n{\n${lines}\n} </dev/null; STATUS=$?; set +e; echo "${mark} $STATUS"\n`);
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      const end = this.stdout.lastIndexOf(mark);
      if (end >= 0 && this.stdout.endsWith("\n")) {
        const code = Number(this.stdout.slice(end + mark.length));
        if (code === 0) return this.stdout.slice(0, end);
        throw this.failure(lines, `ended with ${code}`);
      }
      if (this.child.exitCode !== null) throw this.failure(lines, `ended the shell with ${this.child.exitCode}`);
      if (performance.now() > deadlineMs) throw this.failure(lines, `took longer than ${timeoutMs / 1000} s`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  close(): void {
    if (this.child.pid !== undefined && this.child.exitCode === null) process.kill(-this.child.pid, "SIGKILL");
  }

  private failure(lines: string, how: string): Error {
    return new Error(`${lines}${how}:\n${this.stdout.slice(-4_000)}${this.stderr.slice(-4_000)}`);
  }
}
