/** What a stretch of work took: by the clock on the wall, and of this process's processor time, its collector included. */
export interface Elapsed {
  readonly milliseconds: number;
  /** Steadier than the wall's where other work shares the machine. */
  readonly cpuMilliseconds: number;
}

/** @returns a function that says what has elapsed since */
export function startWatch(): () => Elapsed {
  const startedAt = performance.now();
  const usage = process.cpuUsage();
  return () => {
    const { user, system } = process.cpuUsage(usage);
    return { milliseconds: performance.now() - startedAt, cpuMilliseconds: (user + system) / 1_000 };
  };
}
