/**
 * `npm run mutants`: breaks the production code on purpose, one rule at a time, and sees whether the simulator notices.
 * Exit code 0: every mutant was killed. 1: one survived, or its text is no longer in the code. 2: wrong usage.
 */
import { availableParallelism } from "node:os";
import { SingleBar } from "cli-progress";
import Table from "cli-table3";
import { Command, InvalidArgumentError } from "commander";
import pMap from "p-map";
import { kill } from "./kill.ts";
import { killBySuite } from "./kill-by-suite.ts";
import type { Mutant, MutantWorld } from "./mutant.ts";
import { mutants } from "./mutants.ts";
import { inRotation } from "./rotation.ts";
import type { Verdict } from "./verdict.ts";

interface Options {
  readonly only?: readonly string[];
  readonly world?: MutantWorld;
  readonly rotate?: number;
  readonly of?: string;
  readonly seed: number;
  readonly histories?: number;
  readonly parallel: number;
  readonly timeout: number;
  readonly json?: boolean;
  readonly list?: boolean;
}

export interface Judged {
  readonly mutant: Mutant;
  /** An Error: the mutant could not be run. */
  readonly verdict: Verdict | Error;
  readonly seconds: number;
}

/** What `.ci/run` gives each world; an order more than the hardest mutant takes. */
const HISTORIES_MAX: Readonly<Record<MutantWorld, number>> = { ports: 50_000, adapters: 5_000, suite: 0 };

const count = (text: string): number => {
  const n = Number(text);
  if (!Number.isSafeInteger(n) || n < 1) throw new InvalidArgumentError("Wanted is a whole number of at least 1.");
  return n;
};

const program = new Command("npm run mutants --")
  .description("Applies each mutant to a copy of the code and runs the simulator until a history breaks a promise.")
  .option("--only <name...>", "these mutants alone")
  .option("--world <ports|adapters|suite>", "the mutants that one of the simulator's worlds, or a suite, can tell")
  .option("--rotate <k>", "k mutants, others each time", count)
  .option("--of <what>", "what the rotation goes by: a day's number, or a commit (default: today)")
  .option("--seed <n>", "the first history's seed", count, 1)
  .option("--histories <n>", "give a mutant up as a survivor after so many (default: 50000, adapters 5000)", count)
  .option("--parallel <n>", "mutants at a time", count, Math.min(2, availableParallelism()))
  .option("--timeout <seconds>", "how long one mutant may run", count, 600)
  .option("--list", "say which mutants there are, and run none")
  .option("--json", "one JSON document instead of the table")
  .addHelpText(
    "after",
    `
Examples:
  $ npm run mutants                                  # all of them
  $ npm run mutants -- --only no-dual-fold
  $ npm run mutants -- --rotate 10 --of $(git rev-parse HEAD)`,
  )
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));

function chosen(options: Options): readonly Mutant[] {
  const unknown = options.only?.filter((name) => !mutants.some((mutant) => mutant.name === name)) ?? [];
  if (unknown.length > 0) program.error(`No such mutant: ${unknown.join(", ")}. --list names all.`);
  const wanted = mutants.filter(({ name, world }) => {
    return (options.only?.includes(name) ?? true) && (options.world === undefined || options.world === world);
  });
  if (options.rotate === undefined) return wanted;
  return inRotation(wanted, options.rotate, options.of ?? String(Math.floor(Date.now() / 86_400_000)));
}

async function judge(mutant: Mutant, options: Options): Promise<Judged> {
  const startedMs = Date.now();
  const histories = options.histories ?? HISTORIES_MAX[mutant.world];
  const timeoutMs = options.timeout * 1_000;
  const judging =
    mutant.world === "suite"
      ? killBySuite(mutant, timeoutMs)
      : kill(mutant, { firstSeed: options.seed, histories, timeoutMs });
  const verdict = await judging.catch((thrown: unknown) => (thrown instanceof Error ? thrown : new Error(`${thrown}`)));
  return { mutant, verdict, seconds: (Date.now() - startedMs) / 1_000 };
}

const isKilled = ({ verdict }: Judged): boolean => !(verdict instanceof Error) && verdict.killed;

async function run(options: Options): Promise<number> {
  const picked = chosen(options);
  if (options.list === true) {
    for (const { name, breaks, world } of picked) console.log(`${name} (${world}): ${breaks}`);
    return 0;
  }
  const bar = process.stderr.isTTY
    ? new SingleBar({ format: "{bar} {value}/{total} mutants | {name}", stream: process.stderr, clearOnComplete: true })
    : undefined;
  bar?.start(picked.length, 0, { name: "" });
  const judged = await pMap(
    picked,
    async (mutant) => {
      bar?.update({ name: mutant.name });
      const one = await judge(mutant, options);
      if (bar === undefined) console.error(`${mutant.name}: ${inWords(one)}`);
      bar?.increment();
      return one;
    },
    { concurrency: options.parallel },
  );
  bar?.stop();
  const flaws = await judgeUnbroken(judged, options);
  for (const flaw of flaws) console.error(flaw);
  const survivors = judged.filter((one) => !isKilled(one));
  if (options.json === true) console.log(JSON.stringify(judged.map(asJson), null, 2));
  else {
    console.log(table(judged));
    console.log(`${judged.length - survivors.length} of ${judged.length} mutants killed.`);
    for (const one of survivors) console.error(`${one.mutant.name} survives: ${one.mutant.breaks}. ${inWords(one)}`);
  }
  return survivors.length === 0 && flaws.length === 0 ? 0 : 1;
}

/** What kills a mutant must not kill the code as it is: the same histories, without any break. */
async function judgeUnbroken(judged: readonly Judged[], options: Options): Promise<string[]> {
  const flaws: string[] = [];
  for (const world of ["ports", "adapters"] as const) {
    const hardest = Math.max(
      0,
      ...judged.filter((one) => one.mutant.world === world && isKilled(one)).map(historiesOf),
    );
    if (hardest === 0) continue;
    const unbroken: Mutant = { name: "none", breaks: "nothing", rule: "", world, edits: [] };
    const one = await judge(unbroken, { ...options, histories: hardest });
    if (one.verdict instanceof Error || one.verdict.killed) {
      flaws.push(`The code without any mutant does not hold either (${world}): ${inWords(one)}`);
    }
  }
  return flaws;
}

const historiesOf = ({ verdict }: Judged): number => (verdict instanceof Error ? 0 : verdict.histories);

function inWords({ verdict, seconds }: Judged): string {
  const took = `${seconds.toFixed(1)} s`;
  if (verdict instanceof Error) return `cannot be run: ${verdict.message}`;
  if (!verdict.killed) return `survives ${verdict.histories} histories (${took})`;
  const by = verdict.seed === 0 ? `test ${verdict.histories}` : `seed ${verdict.seed}, history ${verdict.histories}`;
  return `killed by ${by} (${took}): ${shortened(verdict.promise)}`;
}

const WIDTH_MAX = 110;

function shortened(promise: string): string {
  const line = promise.split("\n")[0] as string;
  return line.length <= WIDTH_MAX ? line : `${line.slice(0, WIDTH_MAX - 1)}…`;
}

function table(judged: readonly Judged[]): string {
  const rows = new Table({ head: ["mutant", "killed by", "seed", "histories"], style: { head: [], border: [] } });
  for (const { mutant, verdict } of judged) {
    if (verdict instanceof Error) rows.push([mutant.name, "CANNOT BE RUN", "", ""]);
    else if (verdict.killed)
      rows.push([mutant.name, shortened(verdict.promise), verdict.seed || "", verdict.histories]);
    else rows.push([mutant.name, "NOTHING: IT SURVIVES", "", verdict.histories]);
  }
  return rows.toString();
}

function asJson({ mutant, verdict, seconds }: Judged): object {
  const { name, breaks, rule, world } = mutant;
  return { name, breaks, rule, world, seconds, ...(verdict instanceof Error ? { error: verdict.message } : verdict) };
}

process.exitCode = await run(program.parse().opts<Options>());
