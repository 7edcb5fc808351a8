/**
 * The sources as JavaScript, for tests that start processes: each would otherwise compile all that it loads. Made once
 * for each content of the sources, so that what runs is what stands in the tree, whoever built `dist` and when.
 */
import { createHash, randomBytes } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import ts from "typescript";

const root = path.resolve(import.meta.dirname, "../..");
/** Beneath node_modules, where packages are found as from the sources. */
const cache = path.join(root, "node_modules/.cache/tidemark-test");
const FOLDERS = ["cli", "examples", "functions", "local", "shared", "test/support"];
const KEPT_MS = 24 * 3_600_000;

const compilerOptions: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2023,
  module: ts.ModuleKind.ESNext,
  verbatimModuleSyntax: true,
  rewriteRelativeImportExtensions: true,
};

/** The compiled file of a source: `compiled("cli/main.ts")`. Takes some seconds after a change, then milliseconds. */
export function compiled(source: string): string {
  const files = FOLDERS.flatMap((folder) =>
    readdirSync(path.join(root, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts"))
      .map((name) => path.join(folder, name)),
  ).sort();
  const texts = new Map(files.map((file) => [file, readFileSync(path.join(root, file), "utf8")]));
  const hash = createHash("sha256")
    .update(JSON.stringify([compilerOptions, ts.version, ...texts]))
    .digest("hex")
    .slice(0, 16);
  const tree = path.join(cache, hash);
  if (existsSync(tree)) utimesSync(tree, new Date(), new Date());
  else build(tree, texts);
  return path.join(tree, source.replace(/\.ts$/, ".js"));
}

/** Under another name first: test files run at the same time. */
function build(tree: string, texts: ReadonlyMap<string, string>): void {
  const draft = `${tree}.draft-${randomBytes(6).toString("hex")}`;
  for (const [file, text] of texts) {
    const target = path.join(draft, file.replace(/\.ts$/, ".js"));
    mkdirSync(path.dirname(target), { recursive: true });
    writeFileSync(target, ts.transpileModule(text, { compilerOptions, fileName: path.join(root, file) }).outputText);
  }
  copyFileSync(path.join(root, "package.json"), path.join(draft, "package.json"));
  try {
    renameSync(draft, tree);
  } catch (thrown) {
    rmSync(draft, { recursive: true });
    if (!existsSync(tree)) throw thrown;
  }
  for (const name of readdirSync(cache)) {
    const other = path.join(cache, name);
    if (Date.now() - statSync(other).mtimeMs > KEPT_MS) rmSync(other, { recursive: true, force: true });
  }
}
