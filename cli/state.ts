/** `tidemark state get`: the working state as it is now. */
import { once } from "node:events";
import type { Command } from "commander";
import { type HomeApp, openHomeApp } from "../local/open-home-app.ts";
import { type KeyState, readState, readStatePage, type StatePage } from "../local/read-states.ts";
import { askRun } from "../local/run-control.ts";
import { functionNamed } from "../shared/app/app-description.ts";
import { TidemarkError } from "../shared/errors.ts";
import { KEY_BYTES_MAX } from "../shared/function/check-key.ts";
import { jsonText } from "../shared/json/json-text.ts";
import {
  type CommonOptions,
  conclude,
  type Ending,
  EXIT_FAILED,
  note,
  print,
  printJson,
  withCommonOptions,
} from "./command-line.ts";
import { visibleText } from "./visible-text.ts";

const EXAMPLES = `
Examples:
  $ tidemark state get on-time SEA
  $ tidemark state get on-time | jq -r '.key'

With a key: its state as JSON. Without one: every key, one JSON object a line. With --json each state comes as
{"key", "state", "stateVersion"}. A key without state exits with 1.`;

export function addState(program: Command): void {
  const state = program.command("state").description("Looks at the working state.");
  const command = state
    .command("get")
    .description("Prints the state of one key, or of all keys of a function.")
    .argument("<function>", "the function's name")
    .argument("[key]", "the key; all of them when it is left out");
  withCommonOptions(command)
    .addHelpText("after", EXAMPLES)
    .action((name: string, key: string | undefined, options: CommonOptions) =>
      conclude(options, () => get(name, key, options)),
    );
}

async function get(name: string, key: string | undefined, options: CommonOptions): Promise<Ending> {
  const app = openHomeApp(options.home);
  try {
    functionNamed(app.settings.app, name);
    checkGivenKey(key);
    if (key === undefined) {
      await printAll(app, name);
      return { exitCode: 0 };
    }
    const found = await stateOf(app, name, key);
    if (found === undefined) {
      note(`Function ${name} has no state of key ${JSON.stringify(key)}.`);
      if (options.json === true) printJson({ key, state: null });
      return { exitCode: EXIT_FAILED };
    }
    if (options.json === true) printJson(found);
    else print(jsonText(found.state, 2));
    return { exitCode: 0 };
  } finally {
    await app.close();
  }
}

/** @throws TidemarkError `fix-configuration` for a key that no state can have */
function checkGivenKey(key: string | undefined): void {
  const bytes = key === undefined ? 1 : Buffer.byteLength(key);
  if (bytes >= 1 && bytes <= KEY_BYTES_MAX) return;
  const given = bytes === 0 ? "The key is empty" : `The key has ${bytes} bytes`;
  throw new TidemarkError(
    "fix-configuration",
    `${given}; a key has 1 to ${KEY_BYTES_MAX} bytes of UTF-8. Give one, or leave it out for all keys.`,
  );
}

async function stateOf(app: HomeApp, name: string, key: string): Promise<KeyState | undefined> {
  if (app.settings.backend === "heap") return askRun(app.home, "state", name, key);
  return readState(await app.stores(), name, key);
}

async function pageOf(app: HomeApp, name: string, cursor: string | undefined): Promise<StatePage> {
  if (app.settings.backend === "heap") return askRun(app.home, "statePage", name, cursor);
  return readStatePage(await app.stores(), name, cursor);
}

/** As fast as the reader takes it: the state may be larger than memory. */
async function printAll(app: HomeApp, name: string): Promise<void> {
  let cursor: string | undefined;
  do {
    const page = await pageOf(app, name, cursor);
    const lines = page.states.map((state) => `${visibleText(jsonText(state))}\n`).join("");
    if (!process.stdout.write(lines)) await once(process.stdout, "drain");
    cursor = page.cursor;
  } while (cursor !== undefined);
}
