/** Tells what the demo does as it does it: lines, and on a terminal a bar of the flights below them. */
import { SingleBar } from "cli-progress";
import { formatDuration } from "../../../cli/duration.ts";

export interface Arrival {
  /** Flights that every function has folded. */
  readonly folded: number;
  readonly flights: number;
  readonly checkpoints: number;
}

export interface Narrator {
  /** A line with the time since the demo began. */
  say(text: string): void;
  /** The next part of the story. */
  act(title: string): void;
  arrived(arrival: Arrival): void;
  stop(): void;
}

/** @param stream where lines go; the bar is always on stderr, and only where that is a terminal */
export function createNarrator(stream: NodeJS.WriteStream, now: () => number): Narrator {
  const startedAtMs = now();
  const terminal = process.stderr.isTTY === true;
  let bar: SingleBar | undefined;
  let plainAtMs = startedAtMs;

  const line = (text: string): void => {
    // The bar draws itself again below.
    if (bar !== undefined) process.stderr.write("\r\x1b[2K");
    stream.write(`${text}\n`);
  };
  const say = (text: string): void => line(`${formatDuration(now() - startedAtMs).padStart(8)}  ${text}`);
  return {
    say,
    act: (title) => line(`\n${title}`),
    arrived({ folded, flights, checkpoints }) {
      if (terminal) {
        bar ??= startBar(flights);
        bar.update(folded, { checkpoints });
      } else if (now() - plainAtMs >= 5_000) {
        plainAtMs = now();
        say(`${folded} of ${flights} flights folded.`);
      }
    },
    stop() {
      bar?.stop();
      bar = undefined;
    },
  };
}

function startBar(flights: number): SingleBar {
  const bar = new SingleBar({
    format: "{bar} {value}/{total} flights | {checkpoints} checkpoints",
    stream: process.stderr,
    hideCursor: true,
    clearOnComplete: true,
    stopOnComplete: false,
  });
  bar.start(flights, 0, { checkpoints: 0 });
  return bar;
}
