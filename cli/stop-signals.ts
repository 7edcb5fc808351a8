/** SIGINT and SIGTERM: the first asks to stop in good order, the second ends the process at once. */

export interface StopSignals {
  /** Resolves with the first signal's name. */
  readonly asked: Promise<NodeJS.Signals>;
  release(): void;
}

export function listenForStop(onFirst: (signal: NodeJS.Signals) => void): StopSignals {
  let first = true;
  let ask: (signal: NodeJS.Signals) => void = () => {};
  const asked = new Promise<NodeJS.Signals>((resolve) => {
    ask = resolve;
  });
  const hear = (signal: NodeJS.Signals): void => {
    if (!first) process.exit(signal === "SIGINT" ? 130 : 143);
    first = false;
    onFirst(signal);
    ask(signal);
  };
  process.on("SIGINT", hear);
  process.on("SIGTERM", hear);
  return {
    asked,
    release() {
      process.off("SIGINT", hear);
      process.off("SIGTERM", hear);
    },
  };
}
