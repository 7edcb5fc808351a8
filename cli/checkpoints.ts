/** `tidemark checkpoints`: what checkpoint storage holds of the app. */
import Table from "cli-table3";
import type { Command } from "commander";
import { type CheckpointLine, listHomeCheckpoints } from "../local/list-checkpoints.ts";
import { openHomeApp } from "../local/open-home-app.ts";
import { type CommonOptions, conclude, print, printJson, withCommonOptions } from "./command-line.ts";
import { visibleLine } from "./visible-text.ts";

/** Reasons of failures are sentences; a column of the table holds so much of one in a line. */
const REASON_COLUMNS = 44;

const EXAMPLES = `
Examples:
  $ tidemark checkpoints
  $ tidemark checkpoints --json

lineage: "live" are the checkpoints that the running state descends from; a restore leaves later ones "abandoned".`;

export function addCheckpoints(program: Command): void {
  const command = program.command("checkpoints").description("Lists the checkpoints, with what became of each.");
  withCommonOptions(command)
    .addHelpText("after", EXAMPLES)
    .action((options: CommonOptions) => conclude(options, () => checkpoints(options)));
}

async function checkpoints(options: CommonOptions): Promise<undefined> {
  const app = openHomeApp(options.home);
  try {
    const lines: CheckpointLine[] = [];
    for await (const line of listHomeCheckpoints(app)) lines.push(line);
    noteReplaced(lines);
    if (options.json === true)
      printJson({ app: app.settings.app.name, storage: app.settings.storageUrl, checkpoints: lines });
    else if (lines.length === 0) print(`No checkpoints in ${app.settings.storageUrl} yet.`);
    else print(inWords(lines));
  } finally {
    await app.close();
  }
}

/** The newest of a name has it. */
function noteReplaced(lines: CheckpointLine[]): void {
  const newest = new Map(lines.map(({ savepoint, checkpoint }) => [savepoint, checkpoint]));
  for (const [index, line] of lines.entries()) {
    const has = newest.get(line.savepoint) ?? line.checkpoint;
    if (line.savepoint !== undefined && has !== line.checkpoint) lines[index] = { ...line, replacedBy: has };
  }
}

function savepointInWords({ savepoint, replacedBy }: CheckpointLine): string {
  return replacedBy === undefined ? `savepoint ${savepoint}` : `was savepoint ${savepoint}, replaced by ${replacedBy}`;
}

function inWords(lines: readonly CheckpointLine[]): string {
  const longReasons = lines.some(({ reason = "" }) => reason.length > REASON_COLUMNS);
  const table = new Table({
    ...(longReasons ? { colWidths: [null, REASON_COLUMNS], wordWrap: true } : {}),
    head: ["number", "status", "lineage", "time", "keys", "bytes", "holes", "positions"],
    style: { head: [], border: [] },
  });
  for (const line of lines) {
    const status = line.savepoint === undefined ? line.status : `${line.status} (${savepointInWords(line)})`;
    const positions = (line.functions ?? []).flatMap(({ name, splits }) =>
      splits.map(({ split, position }) => visibleLine(`${name} ${split}: ${position === "" ? "beginning" : position}`)),
    );
    table.push([
      line.checkpoint,
      visibleLine(line.reason === undefined ? status : `${status}: ${line.reason}`),
      line.lineage ?? "",
      line.time ?? "",
      line.keys ?? "",
      line.bytes ?? "",
      line.holes ?? "",
      positions.join("\n"),
    ]);
  }
  return table.toString();
}
