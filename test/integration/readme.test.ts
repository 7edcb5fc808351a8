/** The README's own example, commands and SQL, taken from its text and run as a reader would. */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { DuckDBInstance } from "@duckdb/node-api";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compiled } from "../support/compiled-tree.ts";

const root = path.resolve(import.meta.dirname, "../..");
const run = promisify(execFile);

const USERS = ["alice", "bob", "carol"];
const VISITS = 900;

let folder: string;
let readme: string;

/** The README's first block of a language. */
function block(language: string): string {
  const found = new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``).exec(readme)?.[1];
  if (found === undefined) throw new Error(`README.md has no ${language} block`);
  return found;
}

/** Runs one of the README's command lines. */
async function tidemark(line: string): Promise<string> {
  const words = line.replace(/^npx tidemark /, "").split(" ");
  const { stdout } = await run(process.execPath, [compiled("cli/main.ts"), ...words], { cwd: folder });
  return stdout;
}

beforeAll(async () => {
  readme = await readFile(path.join(root, "README.md"), "utf8");
  folder = await mkdtemp(path.join(tmpdir(), "tidemark-readme-"));
  await mkdir(path.join(folder, "data"));
  await mkdir(path.join(folder, "node_modules"));
  await symlink(path.join(root, "node_modules/zod"), path.join(folder, "node_modules/zod"));
  // The package's name resolves to the sources as they are, so that the test needs no build.
  await mkdir(path.join(folder, "node_modules/tidemark"));
  await writeFile(
    path.join(folder, "node_modules/tidemark/package.json"),
    JSON.stringify({ name: "tidemark", type: "module", exports: "./index.js" }),
  );
  await writeFile(
    path.join(folder, "node_modules/tidemark/index.js"),
    `export * from ${JSON.stringify(compiled("shared/index.ts"))};\n`,
  );
  for (const split of [0, 1]) {
    const lines = Array.from({ length: VISITS }, (_, row) => JSON.stringify({ user: USERS[row % 3], ms: row + split }));
    await writeFile(path.join(folder, `data/${split}.jsonl`), `${lines.join("\n")}\n`);
  }
  await writeFile(path.join(folder, "my-app.ts"), block("ts"));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

describe("the README", () => {
  it("has an example and commands that run, and SQL that reads the checkpoint as the state is", async () => {
    const commands = readme.split("\n").filter((line) => line.startsWith("npx tidemark "));
    expect(commands.map((line) => line.split(" ")[2])).toEqual(["run", "state", "checkpoints", "restore"]);
    const [runLine, stateLine, checkpointsLine, restoreLine] = commands as [string, string, string, string];

    await tidemark(runLine);
    const expected = { visits: (2 * VISITS) / 3, ms: sumOfMs("alice") };
    expect(JSON.parse(await tidemark(stateLine))).toEqual(expected);
    const listed = JSON.parse(await tidemark(`${checkpointsLine} --json`)) as {
      readonly checkpoints: readonly { readonly checkpoint: number; readonly status: string }[];
    };
    const latest = listed.checkpoints.filter(({ status }) => status === "completed").at(-1)?.checkpoint ?? 0;

    const instance = await DuckDBInstance.create();
    const connection = await instance.connect();
    const sql = block("sql")
      .replaceAll("chk-0000000042", `chk-${String(latest).padStart(10, "0")}`)
      .replaceAll(".tidemark", path.join(folder, ".tidemark"));
    const rows = (await connection.runAndReadAll(sql)).getRowObjectsJson();
    connection.closeSync();
    expect(rows).toEqual(USERS.map((user) => ({ user, visits: String(expected.visits), ms: String(sumOfMs(user)) })));

    await tidemark(restoreLine);
    await tidemark(runLine);
    expect(JSON.parse(await tidemark(stateLine))).toEqual(expected);
  });
});

function sumOfMs(user: string): number {
  let sum = 0;
  for (const split of [0, 1]) {
    for (let row = 0; row < VISITS; row += 1) if (USERS[row % 3] === user) sum += row + split;
  }
  return sum;
}
