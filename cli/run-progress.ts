/** What a run shows while it runs: a bar on a terminal, plain lines otherwise; on stderr. */
import { SingleBar } from "cli-progress";
import { describeLeftOut } from "../local/describe-left-out.ts";
import type { Engine, EngineProgress } from "../local/engine.ts";
import type { EngineEvent, EngineObserver } from "../local/engine-event.ts";
import { note } from "./command-line.ts";
import { visibleMembers } from "./visible-text.ts";

export interface RunProgress {
  readonly observe: EngineObserver;
  follow(engine: Engine): void;
  stop(): void;
}

const BAR_MS = 250;
const LINE_MS = 5_000;
/** The rate is that of the last seconds: batches come in bursts. */
const RATE_MS = 5_000;

/** Clears the bar's line and lets long lines wrap, which the bar has switched off. */
const OVER_THE_BAR = "\r\x1b[2K\x1b[?7h";
/** Where the bar draws itself again, and goes back to when it ends. */
const BELOW_THE_LINE = "\x1b[?7l\x1b7";

/** @param options.waits what is stuck does not end the run, and that is said */
export function runProgress({ waits }: { readonly waits: boolean }): RunProgress {
  const terminal = process.stderr.isTTY === true;
  const bar = terminal
    ? new SingleBar({
        format: "{bar} {value}/{total} splits read | {records} records | {rate}/s | checkpoint {checkpoint}",
        stream: process.stderr,
        hideCursor: true,
        clearOnComplete: true,
        stopOnComplete: false,
        noTTYOutput: false,
        gracefulExit: false,
      })
    : undefined;
  /** The bar is on the terminal, and has switched the cursor and the wrapping of long lines off. */
  let drawn = false;
  let timer: NodeJS.Timeout | undefined;
  let asking = false;
  const seen = [{ records: 0, milliseconds: 0 }];

  const show = (figures: EngineProgress): void => {
    seen.push(figures);
    while (seen.length > 2 && (seen[1]?.milliseconds ?? 0) <= figures.milliseconds - RATE_MS) seen.shift();
    const since = seen[0] ?? figures;
    const seconds = (figures.milliseconds - since.milliseconds) / 1000;
    // A heap engine that was started again counts from nothing.
    const rate = seconds > 0 ? Math.max(0, Math.round((figures.records - since.records) / seconds)) : 0;
    const read = figures.splits.filter(({ drained }) => drained).length;
    const checkpoint = figures.checkpoint?.n ?? 0;
    if (bar === undefined) {
      note(
        `${figures.records} records (${rate}/s), ${read} of ${figures.splits.length} splits read, checkpoint ${checkpoint}`,
      );
    } else {
      bar.setTotal(Math.max(1, figures.splits.length));
      bar.update(read, { records: figures.records, rate, checkpoint });
    }
  };

  /** What is tried again and again says the same again and again. */
  const lastSaid = new Map<string, string>();
  const isSaid = (event: EngineEvent, line: string): boolean => {
    if (event.type === "split-stuck" && !waits) return true;
    // A split that has stopped says why once; its batch goes on failing.
    if (event.type === "record-failed") return event.tries === 0;
    if (event.type === "delivery-failed") {
      return lastSaid.has(JSON.stringify(["split-stopped", event.function, event.split]));
    }
    const about = aboutOf(event);
    if (about === undefined) return false;
    const before = lastSaid.get(about);
    lastSaid.set(about, line);
    return before === line;
  };

  const stop = (): void => {
    clearInterval(timer);
    timer = undefined;
    if (drawn) bar?.stop();
    drawn = false;
    process.off("exit", stop);
  };

  return {
    observe(event) {
      const line = inWords(visibleMembers(event));
      if (line === undefined || isSaid(event, line)) return;
      if (drawn) process.stderr.write(`${OVER_THE_BAR}${line}\n${BELOW_THE_LINE}`);
      else note(line);
    },
    follow(engine) {
      bar?.start(1, 0, { records: 0, rate: 0, checkpoint: 0 });
      drawn = bar !== undefined;
      process.once("exit", stop);
      timer = setInterval(
        () => {
          if (asking) return;
          asking = true;
          engine
            .progress()
            .then((figures) => {
              if (timer !== undefined) show(figures);
            })
            // The next look tells more: a worker is just being replaced.
            .catch(() => {})
            .finally(() => {
              asking = false;
            });
        },
        bar === undefined ? LINE_MS : BAR_MS,
      );
    },
    stop,
  };
}

/** What is said again and again of the same thing; undefined: it is said each time. */
function aboutOf(event: EngineEvent): string | undefined {
  if (event.type === "source-failed" || event.type === "split-stopped") {
    return JSON.stringify([event.type, event.function, event.split]);
  }
  return event.type === "worker-ended" && event.pid === 0 ? event.type : undefined;
}

/** One line for what a person wants to know; undefined for the rest. */
export function inWords(event: EngineEvent): string | undefined {
  switch (event.type) {
    case "checkpoint-completed":
      return `Checkpoint ${event.checkpoint} completed: ${event.keys} keys, ${event.bytes} bytes, ${event.milliseconds} ms.`;
    case "checkpoint-aborted":
      return `Checkpoint ${event.checkpoint} aborted: ${event.reason}`;
    case "restore-started":
      return `Restore of checkpoint ${event.checkpoint} started (generation ${event.generation}).`;
    case "restore-loaded":
      return `Checkpoint ${event.checkpoint} loaded: ${event.keys} keys, ${event.milliseconds} ms.`;
    case "restore-finished":
      return `Restore of checkpoint ${event.checkpoint} finished: ${event.milliseconds} ms.`;
    case "dead-letter":
      return `Dead letter: ${event.function}, split ${event.split}, position ${event.position}: ${event.error}`;
    case "record-failed":
      return `Failed (try ${event.tries}): ${event.function}, split ${event.split}, position ${event.position}: ${event.error}`;
    case "split-stopped":
      return `Split ${event.split} of ${event.function} stopped at ${event.position} after ${event.deadLetters} dead letters: ${event.error}`;
    case "hole":
      return `Hole (${event.hole.cause}): ${event.function}, split ${event.split}.`;
    case "worker-ended":
      return event.expected
        ? undefined
        : event.pid === 0
          ? `A worker cannot be started, and is tried again: ${event.how}`
          : `A worker (pid ${event.pid}) ended with ${event.how}; another takes its place.`;
    case "split-stuck": {
      const what = event.split === undefined ? "The source" : `Split ${event.split}`;
      return `${what} of ${event.function} does not go on by itself. The run waits for it (--keep-running), and tries it from time to time.`;
    }
    case "dynamodb-ended":
      return event.pid === 0
        ? `The DynamoDB of this home cannot be started again yet: ${event.how}`
        : `The DynamoDB of this home (pid ${event.pid}) ended with ${event.how}; it is started again.`;
    case "dynamodb-started":
      return `The DynamoDB of this home answers again (pid ${event.pid}).`;
    case "home-closed":
      return `The home ${event.folder} was open to other users (mode ${event.mode}): it is closed now (700), with all that is in it.`;
    case "source-failed":
      return event.split === undefined
        ? `The source of ${event.function} failed: ${event.error}`
        : `Split ${event.split} of ${event.function} cannot be read: ${event.error}`;
    case "unfinished-record":
      return event.text;
    case "left-out":
      return `Left out of the source ${event.source} (${event.leftOut.place}): ${describeLeftOut(event.leftOut)}.`;
    case "coordinator-failed":
      return `The coordinator failed and tries again: ${event.error}`;
    case "delivery-failed":
      return event.tries === 3
        ? `A batch of ${event.function}, split ${event.split}, keeps failing: ${event.error}`
        : undefined;
    default:
      return undefined;
  }
}
