/** `tidemark run` under a supervisor that starts it again whenever it ends: engine, pump and coordinator in one process. */
import { createWriteStream, type WriteStream } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { childrenOf, defectIn, type Ended, signal, startCommand } from "./command.ts";

/** How long a run that ended by itself stays away: what it met may need some time to pass. */
const RESTART_MS = 500;
const PATIENCE_MS = 120_000;
/** Lines that no fault excuses. */
const DEFECTS = /report this|^Dead letter:|^Hole \(|\bstopped at\b.*dead letters/;

export interface RunOptions {
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly logFile: string;
  /** Told what only a defect of Tidemark explains. */
  readonly onDefect: (what: string) => void;
  /** Told each line that it says. */
  readonly onLine: (line: string) => void;
}

export class Run {
  /** Starts so far. */
  starts = 0;
  /** How often it ended by itself, with an error that has a way out. */
  gaveUp = 0;
  private readonly options: RunOptions;
  private readonly log: WriteStream;
  private current: ReturnType<typeof startCommand> | undefined;
  private supervising: Promise<void> | undefined;
  private stopping = false;
  private awayMs = RESTART_MS;
  private struck = false;

  constructor(options: RunOptions) {
    this.options = options;
    this.log = createWriteStream(options.logFile, { flags: "a" });
  }

  start(): void {
    this.supervising = this.supervise();
  }

  /** Undefined: it is away just now. */
  get pid(): number | undefined {
    return this.current?.child.pid;
  }

  workers(): Promise<number[]> {
    return this.pid === undefined ? Promise.resolve([]) : childrenOf(this.pid, "worker-process");
  }

  /** @returns whether there was one to kill */
  kill(awayMs: number): boolean {
    if (this.pid === undefined) return false;
    this.struck = true;
    this.awayMs = awayMs;
    return signal(this.pid, "SIGKILL");
  }

  /** SIGTERM, and the good order it asks for. @returns how it ended */
  async stop(): Promise<Ended | undefined> {
    this.stopping = true;
    const running = this.current;
    running?.child.kill("SIGTERM");
    const alarm = setTimeout(() => running?.child.kill("SIGKILL"), PATIENCE_MS);
    const ended = await running?.ended;
    clearTimeout(alarm);
    await this.supervising;
    await new Promise<void>((resolve) => this.log.end(() => resolve()));
    return ended;
  }

  /** However it is: gone afterwards. */
  async abandon(): Promise<void> {
    this.stopping = true;
    this.current?.child.kill("SIGKILL");
    await this.supervising;
  }

  private async supervise(): Promise<void> {
    while (!this.stopping) {
      this.starts += 1;
      this.struck = false;
      this.note(`--- start ${this.starts}`);
      this.current = startCommand(this.options.args, {
        env: this.options.env,
        onLine: (line) => {
          this.note(line);
          this.options.onLine(line);
          if (DEFECTS.test(line)) this.options.onDefect(`The run said: ${line}`);
        },
      });
      const ended = await this.current.ended;
      this.current = undefined;
      this.note(`--- ended (${ended.code ?? "killed"})`);
      if (!this.struck && !this.stopping) {
        this.gaveUp += 1;
        const defect = ended.code === null ? "it was killed, and by nobody here" : defectIn(ended);
        if (defect !== undefined) this.options.onDefect(`The run ended by itself: ${defect}`);
      }
      for (let leftMs = this.awayMs; leftMs > 0 && !this.stopping; leftMs -= 50) await sleep(Math.min(50, leftMs));
      this.awayMs = RESTART_MS;
    }
  }

  private note(line: string): void {
    this.log.write(`${new Date().toISOString()} ${line}\n`);
  }
}
