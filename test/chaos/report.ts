/** What a run of chaos came to, over all its rounds, for people and programs. */
import Table from "cli-table3";
import { FAULT_KINDS, type FaultKind } from "./plan.ts";
import type { RoundReport } from "./round.ts";
import type { FaultCount } from "./tally.ts";

export interface Total {
  readonly flights: number;
  readonly seconds: number;
  readonly faults: readonly FaultCount[];
  /** All of them, of every kind. */
  readonly faultsAll: number;
  /** Kinds that did not happen in any round, though they could have. */
  readonly neverHappened: readonly FaultKind[];
  readonly impossible: RoundReport["impossible"];
  readonly runStarts: number;
  readonly generations: number;
  readonly checkpoints: RoundReport["checkpoints"];
  readonly differences: number;
}

export function totalOf(rounds: readonly RoundReport[]): Total {
  const sum = (of: (round: RoundReport) => number): number => rounds.reduce((all, round) => all + of(round), 0);
  const faults = FAULT_KINDS.map((kind) => {
    const counts = rounds.flatMap((round) => round.faults.filter((count) => count.kind === kind));
    const add = (of: (count: FaultCount) => number): number => counts.reduce((all, count) => all + of(count), 0);
    return {
      kind,
      times: add(({ times }) => times),
      amidCheckpoint: add(({ amidCheckpoint }) => amidCheckpoint),
      amidRestore: add(({ amidRestore }) => amidRestore),
    };
  });
  return {
    flights: sum(({ flights }) => flights),
    seconds: sum(({ seconds }) => seconds),
    faults,
    faultsAll: faults.reduce((all, { times }) => all + times, 0),
    neverHappened: FAULT_KINDS.filter((kind) => rounds.every((round) => round.neverHappened.includes(kind))),
    impossible: rounds[0]?.impossible ?? [],
    runStarts: sum(({ runStarts }) => runStarts),
    generations: sum(({ generations }) => generations),
    checkpoints: {
      completed: sum(({ checkpoints }) => checkpoints.completed),
      aborted: sum(({ checkpoints }) => checkpoints.aborted),
      deleted: sum(({ checkpoints }) => checkpoints.deleted),
      judged: sum(({ checkpoints }) => checkpoints.judged),
    },
    differences: sum(({ differences }) => differences.length),
  };
}

export function inWords(
  total: Total & { readonly identical: boolean; readonly seed: number; readonly kept?: string },
  rounds: readonly RoundReport[],
): string {
  const table = new Table({
    head: ["fault", "times", "amid a checkpoint", "amid a restore"],
    style: { head: [], border: [] },
    colAligns: ["left", "right", "right", "right"],
  });
  for (const { kind, times, amidCheckpoint, amidRestore } of total.faults) {
    table.push([kind, times, amidCheckpoint || "", amidRestore || ""]);
  }
  const { completed, aborted, judged } = total.checkpoints;
  const lines = [
    table.toString(),
    `${total.faultsAll} faults in ${rounds.length} rounds (seeds from ${total.seed}), ${total.flights} flights, ${total.seconds} s. The run was started ${total.runStarts} times; ${completed} checkpoints completed, ${aborted} were aborted; ${total.generations} generations.`,
    ...total.impossible.map(({ kind, why }) => `LEFT OUT: ${kind}: ${why}`),
    ...(total.neverHappened.length > 0 ? [`NEVER HAPPENED: ${total.neverHappened.join(", ")}`] : []),
    ...rounds.flatMap(({ seed, differences }) => differences.map((what) => `DIFFERENT (seed ${seed}): ${what}`)),
    total.identical
      ? `IDENTICAL: the end state of every round is DuckDB's answer, all hash chains hold, and ${judged} checkpoints are those of their own positions.`
      : `DIFFERENT: ${total.differences} differences; everything is kept in ${total.kept}.`,
  ];
  return lines.join("\n");
}
