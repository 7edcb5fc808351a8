/**
 * Names the version of an app module, by what it and the files that it imports by relative paths hold. A package that is
 * installed anew is no other version.
 */
import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import path from "node:path";

/** `import … from "./x"`, `export … from "./x"`, `import("./x")` and `require("./x")`. A comment that holds one does no harm. */
const RELATIVE_IMPORT = /\b(?:from|import|require)\s*\(?\s*(["'])(\.{1,2}\/[^"'\n]+)\1/g;

/** As Node and jiti find a file; `./x.js` may stand for `./x.ts`. */
const ENDINGS = ["", ".ts", ".mts", ".cts", ".tsx", ".js", ".mjs", ".cjs", ".json", "/index.ts", "/index.js"];

/** 16 hexadecimal digits, equal for equal code. A file that cannot be read counts as empty: what loads it will say so. */
export function codeVersionOf(appModule: string): string {
  const hash = createHash("sha256");
  const folder = path.dirname(path.resolve(appModule));
  for (const file of filesOf(path.resolve(appModule))) {
    // Names as seen from the module, so that a copy of the folder is the same version.
    hash
      .update(`${path.relative(folder, file)}\0`)
      .update(read(file))
      .update("\0");
  }
  return hash.digest("hex").slice(0, 16);
}

/** The module and what it imports, each once. */
function filesOf(appModule: string): string[] {
  const found = new Set([appModule]);
  // A set goes on to what is added to it meanwhile.
  for (const file of found) {
    for (const [, , specifier = ""] of read(file).toString("utf8").matchAll(RELATIVE_IMPORT)) {
      const imported = resolved(path.resolve(path.dirname(file), specifier));
      if (imported !== undefined) found.add(imported);
    }
  }
  return [...found];
}

function resolved(target: string): string | undefined {
  const bases = [target, target.replace(/\.([mc]?)js$/, "")];
  for (const base of bases) {
    for (const ending of ENDINGS) if (isFile(base + ending)) return base + ending;
  }
  return undefined;
}

const isFile = (file: string): boolean => statSync(file, { throwIfNoEntry: false })?.isFile() === true;

function read(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch {
    return Buffer.alloc(0);
  }
}
