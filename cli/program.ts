/** The command line's tree of commands. */
import { readFileSync } from "node:fs";
import { Command } from "commander";
import { addCheckpoint } from "./checkpoint.ts";
import { addCheckpoints } from "./checkpoints.ts";
import { addDeadLetters } from "./dead-letters.ts";
import { addRestore } from "./restore.ts";
import { addRun } from "./run.ts";
import { addState } from "./state.ts";
import { visibleText } from "./visible-text.ts";

const GUIDE = `
A run, and everything beside it:
  $ tidemark run my-app.ts --source "flights=data/*.jsonl"
  $ tidemark checkpoints
  $ tidemark restore --checkpoint 41
  $ tidemark state get on-time SEA

Exit codes: 0 done, 1 failed or different, 2 wrong usage or configuration.`;

export function createProgram(): Command {
  const program = new Command("tidemark")
    .description("Checkpointed keyed state for AWS Lambda, and for this machine.")
    .version(versionOfPackage())
    .addHelpText("after", GUIDE)
    .configureOutput({ writeErr: (text) => process.stderr.write(visibleText(text)) })
    .exitOverride();
  for (const add of [addRun, addCheckpoint, addCheckpoints, addRestore, addState, addDeadLetters]) add(program);
  inherit(program);
  return program;
}

/** Subcommands end by the same way as the program. */
function inherit(command: Command): void {
  for (const child of command.commands) {
    child.exitOverride();
    inherit(child);
  }
}

/** One folder up from the sources, two from what is built. */
function versionOfPackage(): string {
  for (const place of ["../package.json", "../../package.json"]) {
    try {
      const { name, version } = JSON.parse(readFileSync(new URL(place, import.meta.url), "utf8")) as {
        readonly name?: string;
        readonly version?: string;
      };
      if (name === "tidemark" && version !== undefined) return version;
    } catch {
      // The other place has it.
    }
  }
  return "unknown";
}
