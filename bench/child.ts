/** A process that measures itself, away from the heap of the benchmark and of the other contenders. */
import type { ChildProcess } from "node:child_process";
import { forkModule } from "../local/fork-module.ts";

export class Child<Says> {
  private readonly process: ChildProcess;

  constructor(module: string, args: readonly string[], nodeFlags: readonly string[] = []) {
    this.process = forkModule(module, import.meta.url, args, {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
      execArgv: [...nodeFlags],
    });
  }

  /** What the process says next. @throws when it ends before it has said anything */
  says(): Promise<Says> {
    return new Promise((resolve, reject) => {
      const ended = (code: number | null, signal: string | null): void =>
        reject(new Error(`A measuring process ended with ${signal ?? `exit code ${code}`}.`));
      this.process.once("exit", ended);
      this.process.once("message", (message) => {
        this.process.off("exit", ended);
        resolve(message as Says);
      });
    });
  }

  ask(question: string): Promise<Says> {
    const answer = this.says();
    this.process.send(question);
    return answer;
  }

  async stop(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const ended = new Promise((resolve) => this.process.once("exit", resolve));
    if (this.process.connected) this.process.disconnect();
    await ended;
  }
}
