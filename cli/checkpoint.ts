/** `tidemark checkpoint`: takes a checkpoint, or a savepoint, now. */
import type { Command } from "commander";
import { openHomeApp } from "../local/open-home-app.ts";
import { takeCheckpoint } from "../local/steer-home.ts";
import { checkSavepointName } from "../shared/checkpoint/savepoints.ts";
import { TidemarkError } from "../shared/errors.ts";
import { type CommonOptions, conclude, print, printJson, withCommonOptions } from "./command-line.ts";
import { formatDuration } from "./duration.ts";

interface CheckpointOptions extends CommonOptions {
  readonly savepoint?: string;
  readonly replace?: boolean;
}

const EXAMPLES = `
Examples:
  $ tidemark checkpoint
  $ tidemark checkpoint --savepoint before-upgrade
  $ tidemark checkpoint --savepoint before-upgrade --replace

Works beside a live run and without one. A savepoint is kept until you remove it; checkpoints go by the app's retention.
A name is had by one savepoint. With --replace the new one takes it, and the checkpoint that had it goes by retention from
then on, like any other; if no new one comes about, it keeps the name.`;

export function addCheckpoint(program: Command): void {
  const command = program.command("checkpoint").description("Takes a checkpoint now and waits until it is durable.");
  withCommonOptions(command)
    .option("--savepoint <name>", "name it and keep it, whatever the retention")
    .option("--replace", "with --savepoint: take the name from the savepoint that has it")
    .addHelpText("after", EXAMPLES)
    .action((options: CheckpointOptions) => conclude(options, () => checkpoint(options)));
}

async function checkpoint(options: CheckpointOptions): Promise<undefined> {
  const { savepoint, replace } = options;
  if (replace === true && savepoint === undefined) {
    throw new TidemarkError(
      "fix-configuration",
      "--replace needs --savepoint: it is a savepoint's name that is taken.",
    );
  }
  if (savepoint !== undefined) checkSavepointName(savepoint);
  const app = openHomeApp(options.home);
  try {
    const taken = await takeCheckpoint(app, {
      ...(savepoint === undefined ? {} : { savepoint }),
      ...(replace === undefined ? {} : { replace }),
    });
    const replaced = taken.replaces ?? [];
    const milliseconds = (taken.finishedAtMs ?? taken.triggeredAtMs) - taken.triggeredAtMs;
    if (options.json === true) {
      printJson({
        checkpoint: taken.n,
        status: taken.status,
        ...(taken.savepoint === undefined ? {} : { savepoint: taken.savepoint }),
        ...(replaced.length === 0 ? {} : { replaces: replaced }),
        milliseconds,
      });
    } else {
      const name = taken.savepoint === undefined ? "" : ` (savepoint ${taken.savepoint})`;
      print(`Checkpoint ${taken.n}${name} completed in ${formatDuration(milliseconds)}.`);
      if (replaced.length > 0) {
        print(`Checkpoint ${replaced.join(", ")} had that name, and goes by retention from now on.`);
      }
    }
  } finally {
    await app.close();
  }
}
