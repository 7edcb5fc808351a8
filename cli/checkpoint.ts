/** `tidemark checkpoint`: takes a checkpoint, or a savepoint, now. */
import type { Command } from "commander";
import { openHomeApp } from "../local/open-home-app.ts";
import { takeCheckpoint } from "../local/steer-home.ts";
import { type CommonOptions, conclude, print, printJson, withCommonOptions } from "./command-line.ts";
import { formatDuration } from "./duration.ts";

interface CheckpointOptions extends CommonOptions {
  readonly savepoint?: string;
}

const EXAMPLES = `
Examples:
  $ tidemark checkpoint
  $ tidemark checkpoint --savepoint before-upgrade

Works beside a live run and without one. A savepoint is kept until you remove it; checkpoints go by the app's retention.`;

export function addCheckpoint(program: Command): void {
  const command = program.command("checkpoint").description("Takes a checkpoint now and waits until it is durable.");
  withCommonOptions(command)
    .option("--savepoint <name>", "name it and keep it, whatever the retention")
    .addHelpText("after", EXAMPLES)
    .action((options: CheckpointOptions) => conclude(options, () => checkpoint(options)));
}

async function checkpoint(options: CheckpointOptions): Promise<undefined> {
  const app = openHomeApp(options.home);
  try {
    const taken = await takeCheckpoint(app, options.savepoint === undefined ? {} : { savepoint: options.savepoint });
    const milliseconds = (taken.finishedAtMs ?? taken.triggeredAtMs) - taken.triggeredAtMs;
    if (options.json === true) {
      printJson({
        checkpoint: taken.n,
        status: taken.status,
        ...(taken.savepoint === undefined ? {} : { savepoint: taken.savepoint }),
        milliseconds,
      });
    } else {
      const name = taken.savepoint === undefined ? "" : ` (savepoint ${taken.savepoint})`;
      print(`Checkpoint ${taken.n}${name} completed in ${formatDuration(milliseconds)}.`);
    }
  } finally {
    await app.close();
  }
}
