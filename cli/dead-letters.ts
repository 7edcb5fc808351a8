/** `tidemark dead-letters`: the records that were given up, and the way back for them. */
import type { Command } from "commander";
import { openHomeApp } from "../local/open-home-app.ts";
import { skipInHome } from "../local/steer-home.ts";
import { functionNamed } from "../shared/app/app-description.ts";
import { listDeadLetters } from "../shared/dead-letter/dead-letter.ts";
import { putBackLetters } from "../shared/dead-letter/put-back.ts";
import { systemClock } from "../shared/environment.ts";
import { TidemarkError } from "../shared/errors.ts";
import { jsonText } from "../shared/json/json-text.ts";
import { type CommonOptions, conclude, print, printJson, refuseEmpty, withCommonOptions } from "./command-line.ts";
import { parseCount } from "./duration.ts";
import { visibleMembers } from "./visible-text.ts";

interface RedriveOptions extends CommonOptions {
  readonly split?: string;
  readonly position?: string;
  readonly all?: boolean;
}

interface SkipOptions extends CommonOptions {
  readonly split?: string;
  readonly records: number;
}

const LIST_EXAMPLES = `
Examples:
  $ tidemark dead-letters list
  $ tidemark dead-letters list on-time --json

With --json: one JSON object a line, the whole letter.`;

const REDRIVE_EXAMPLES = `
Examples:
  $ tidemark dead-letters redrive on-time
  $ tidemark dead-letters redrive on-time --split flights-1.jsonl --position 000000000042-0000000000003780

The records are delivered again, after everything else of the function, by a live run or the next one. A letter that
was put back already is left alone, unless --all says otherwise; putting one back twice folds it once.

A deployed app is asked at its coordinator: {"redrive":"on-time"}. See docs/operations.md.`;

const SKIP_EXAMPLES = `
Examples:
  $ tidemark dead-letters skip on-time
  $ tidemark dead-letters skip on-time --split flights-1.jsonl --records 20

The records become dead letters of the cause "skipped", and holes, by the split's next batch: of a live run, or of the
next one. Repair the function instead where they should count; redrive puts them back later.

A deployed app is asked at its coordinator: {"skip":"on-time"}. See docs/operations.md.`;

export function addDeadLetters(program: Command): void {
  const letters = program.command("dead-letters").description("Lists records that were given up, and puts them back.");
  withCommonOptions(
    letters
      .command("list")
      .description("Lists dead letters, with place and error.")
      .argument("[function]", "only those of this function"),
  )
    .addHelpText("after", LIST_EXAMPLES)
    .action((name: string | undefined, options: CommonOptions) => conclude(options, () => list(name, options)));
  withCommonOptions(
    letters.command("redrive").description("Puts dead letters back.").argument("<function>", "the function's name"),
  )
    .option("--split <split>", "only those of this split")
    .option("--position <position>", "only the one at this position (with --split)")
    .option("--all", "those that were put back before, too")
    .addHelpText("after", REDRIVE_EXAMPLES)
    .action((name: string, options: RedriveOptions) => conclude(options, () => redrive(name, options)));
  withCommonOptions(
    letters
      .command("skip")
      .description("Has a stopped split pass over the record that it stands at.")
      .argument("<function>", "the function's name"),
  )
    .option("--split <split>", "this split alone, stopped or not (default: all that have stopped)")
    .option("--records <n>", "so many records, from that one on", parseCount, 1)
    .addHelpText("after", SKIP_EXAMPLES)
    .action((name: string, options: SkipOptions) => conclude(options, () => skip(name, options)));
}

async function list(name: string | undefined, options: CommonOptions): Promise<undefined> {
  const app = openHomeApp(options.home);
  try {
    if (name !== undefined) functionNamed(app.settings.app, name);
    let count = 0;
    for await (const letter of listDeadLetters(await app.storage(), name)) {
      count += 1;
      if (options.json === true) printJson(letter);
      else {
        const { at, function: of, split, position, redrivenAs, cause, tries, error } = visibleMembers(letter);
        const back = redrivenAs === undefined ? "" : ` (put back as ${redrivenAs})`;
        print(
          `${at} ${of} ${split} ${position}${back}\n  ${cause} after ${tries} ${tries === 1 ? "try" : "tries"}: ${error}\n  ${jsonText(letter.record)}`,
        );
      }
    }
    if (options.json !== true) print(count === 0 ? "No dead letters." : `${count} dead letters.`);
  } finally {
    await app.close();
  }
}

async function redrive(name: string, { home, json, split, position, all }: RedriveOptions): Promise<undefined> {
  if (position !== undefined && split === undefined) {
    throw new TidemarkError("fix-configuration", "--position needs --split: a position is one of a split's.");
  }
  refuseEmpty("--split", split, "a split's name: `tidemark dead-letters list` has them");
  refuseEmpty("--position", position, "a position: `tidemark dead-letters list` has them");
  const app = openHomeApp(home);
  try {
    const choice = {
      ...(split === undefined ? {} : { split }),
      ...(position === undefined ? {} : { position }),
      ...(all === undefined ? {} : { all }),
    };
    const description = functionNamed(app.settings.app, name);
    const { redriven } = await putBackLetters(await app.storage(), description, choice, { clock: systemClock });
    if (json === true) printJson({ function: name, redriven });
    else print(redriven === 0 ? "There is nothing to put back." : `${redriven} records were put back.`);
  } finally {
    await app.close();
  }
}

async function skip(name: string, { home, json, split, records }: SkipOptions): Promise<undefined> {
  const app = openHomeApp(home);
  try {
    const choice = { function: name, records, ...(split === undefined ? {} : { split }) };
    const { skipping } = await skipInHome(app, choice);
    if (json === true) printJson({ function: name, skipping });
    else {
      for (const one of skipping.map(visibleMembers)) {
        print(
          `Split ${one.split} of ${name} passes over ${one.records === 1 ? "the record" : `${one.records} records from the one`} at ${one.at} with its next batch.`,
        );
      }
    }
  } finally {
    await app.close();
  }
}
