/**
 * What every command does the same: where it prints, how it fails, how it ends.
 *
 * - stdout: the result; with `--json` one JSON object (or, where a command says so, one a line) and nothing else. A command
 *   that fails has `{"error":{"kind","message"}}` there; what it had printed before stays.
 * - stderr: progress and errors.
 * - exit codes: 0 done, 1 failed or different, 2 wrong usage or configuration.
 */
import type { Command, CommanderError } from "commander";
import { asError, describeThrown, TidemarkError } from "../shared/errors.ts";
import { jsonText } from "../shared/json/json-text.ts";
import { visibleText } from "./visible-text.ts";

export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;

/** Options that every command takes. */
export interface CommonOptions {
  readonly home?: string;
  readonly json?: boolean;
  readonly verbose?: boolean;
}

export function withCommonOptions(command: Command): Command {
  return command
    .option("--home <folder>", "the folder of the run's state, settings and checkpoints (default: .tidemark)")
    .option("--json", "print one JSON object on stdout and nothing else")
    .option("--verbose", "print an error's stack as well (also: TIDEMARK_DEBUG=1)")
    .showHelpAfterError("Run with --help for usage.");
}

/** What an action says about its end. */
export interface Ending {
  readonly exitCode: number;
}

/** Runs a command's action: reports what it throws in one line, and sets the exit code. */
export async function conclude(options: CommonOptions, action: () => Promise<Ending | undefined>): Promise<void> {
  try {
    const ending = await action();
    process.exitCode = ending?.exitCode ?? 0;
  } catch (thrown) {
    reportError(thrown, options);
    process.exitCode = exitCodeOf(thrown);
  }
}

export function exitCodeOf(thrown: unknown): number {
  return thrown instanceof TidemarkError && thrown.kind === "fix-configuration" ? EXIT_USAGE : EXIT_FAILED;
}

export function reportError(thrown: unknown, options: CommonOptions): void {
  const debug = options.verbose === true || (process.env.TIDEMARK_DEBUG ?? "") !== "";
  const error = asError(thrown);
  // Tidemark's own errors say all that helps; anything else is a defect, whose stack is wanted.
  const short = thrown instanceof TidemarkError && !debug;
  note(`error: ${short ? error.message : (error.stack ?? error.message)}`);
  if (debug && error.cause !== undefined) note(`caused by: ${asError(error.cause).stack}`);
  if (options.json === true) {
    const kind = thrown instanceof TidemarkError ? thrown.kind : "report-bug";
    printJson({ error: { kind, message: thrown instanceof TidemarkError ? error.message : describeThrown(thrown) } });
  }
}

/**
 * Ends what the command line itself has refused, and has said on stderr already. Help and version that were asked for end well.
 * @returns the exit code
 */
export function reportUsage(refusal: CommanderError, json: boolean): number {
  if (refusal.exitCode === 0) return 0;
  const message =
    refusal.code === "commander.help"
      ? "No command was given. Run with --help for usage."
      : refusal.message.replace(/^error: /, "");
  if (json) printJson({ error: { kind: "fix-configuration", message } });
  return EXIT_USAGE;
}

/** Whether the command line asks for JSON, though it could not be parsed. */
export function isJsonAsked(given: readonly string[] = process.argv.slice(2)): boolean {
  const end = given.indexOf("--");
  return given.slice(0, end === -1 ? undefined : end).includes("--json");
}

/** @throws TidemarkError `fix-configuration` for an option that was given nothing */
export function refuseEmpty(option: string, given: string | undefined, wanted: string): void {
  if (given === undefined || given.trim() !== "") return;
  throw new TidemarkError("fix-configuration", `${option} is empty; give ${wanted}, or leave it out.`);
}

export function print(text: string): void {
  process.stdout.write(`${visibleText(text)}\n`);
}

export function printJson(value: unknown): void {
  print(jsonText(value));
}

/** Progress for people; never on stdout. What a name or an error from outside begins a line with is no line of ours: it stands further in. */
export function note(text: string): void {
  process.stderr.write(`${visibleText(text).replaceAll("\n", "\n  ")}\n`);
}
