/**
 * Which files a binding means. A split is a file; its name is the path below the binding's fixed folder (all that
 * stands before the first `*`), `/`-separated, so that it stays the same wherever the folder is.
 */
import { readdir, stat } from "node:fs/promises";
import path from "node:path";
import { TidemarkError } from "../../errors.ts";

export type FileFormat = "json-lines" | "parquet";

const FORMATS: Readonly<Record<string, FileFormat>> = {
  ".jsonl": "json-lines",
  ".ndjson": "json-lines",
  ".json": "json-lines",
  ".parquet": "parquet",
};
const EXTENSIONS = Object.keys(FORMATS).join(", ");

export class FileSplits {
  readonly #pattern: string;
  readonly #folder: string;
  /** One for each part of the path below the folder. */
  readonly #parts: readonly RegExp[];
  /** A folder was named: files of other kinds in it are none of ours. */
  readonly #skipsOtherKinds: boolean;

  private constructor(pattern: string, folder: string, parts: readonly string[], skipsOtherKinds: boolean) {
    this.#pattern = pattern;
    this.#folder = folder;
    this.#parts = parts.map(matcher);
    this.#skipsOtherKinds = skipsOtherKinds;
  }

  /**
   * @param pattern a file, a folder (its files, not those of folders in it), or a path whose last parts hold `*`
   * @throws TidemarkError `fix-configuration` when there is no such path
   */
  static async open(pattern: string, baseFolder: string): Promise<FileSplits> {
    const parts = path.resolve(baseFolder, pattern).split(path.sep);
    const firstGlob = parts.findIndex((part) => part.includes("*"));
    if (parts.some((part) => part.includes("**"))) {
      throw new TidemarkError(
        "fix-configuration",
        `${pattern} holds "**", which is not supported. A "*" stands for any part of one name: "data/*.jsonl", "data/*/*.jsonl".`,
      );
    }
    if (firstGlob !== -1) {
      const folder = parts.slice(0, firstGlob).join(path.sep) || path.sep;
      return new FileSplits(pattern, folder, parts.slice(firstGlob), false);
    }
    const full = path.resolve(baseFolder, pattern);
    const found = await stat(full).catch((cause: unknown) => {
      throw new TidemarkError(
        "fix-configuration",
        `There is no file or folder ${full} (given as ${JSON.stringify(pattern)}). Relative paths begin at ${path.resolve(baseFolder)}.`,
        { cause },
      );
    });
    if (found.isDirectory()) return new FileSplits(pattern, full, ["*"], true);
    formatOf(full);
    return new FileSplits(pattern, path.dirname(full), [path.basename(full)], false);
  }

  /** The names of the files there are now, in order. */
  async *names(): AsyncGenerator<string> {
    yield* this.#walk("", 0);
  }

  async *#walk(below: string, depth: number): AsyncGenerator<string> {
    const part = this.#parts[depth];
    if (part === undefined) return;
    const entries = await readdir(path.join(this.#folder, below), { withFileTypes: true }).catch((cause: unknown) => {
      throw new TidemarkError(
        "fix-configuration",
        `The folder ${path.join(this.#folder, below)} of ${JSON.stringify(this.#pattern)} cannot be listed.`,
        { cause },
      );
    });
    entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const entry of entries) {
      if (!part.test(entry.name)) continue;
      const name = `${below}${entry.name}`;
      const isFolder = entry.isSymbolicLink()
        ? (await stat(path.join(this.#folder, name))).isDirectory()
        : entry.isDirectory();
      if (depth < this.#parts.length - 1) {
        if (isFolder) yield* this.#walk(`${name}/`, depth + 1);
      } else if (!isFolder) {
        if (this.#skipsOtherKinds && FORMATS[path.extname(name).toLowerCase()] === undefined) continue;
        formatOf(name);
        yield name;
      }
    }
  }

  /** @throws TidemarkError `fix-configuration` when the split is no name below the folder */
  pathOf(split: string): string {
    const parts = split.split("/");
    if (parts.length !== this.#parts.length || !parts.every((part, index) => this.#parts[index]?.test(part))) {
      throw new TidemarkError(
        "fix-configuration",
        `The split ${JSON.stringify(split)} is no file of ${JSON.stringify(this.#pattern)}. Bind the path that the split was read from.`,
      );
    }
    return path.join(this.#folder, ...parts);
  }
}

/** Matches one name; `*` is any run of characters but, as in shells, never a leading dot. */
function matcher(part: string): RegExp {
  const pattern = part
    .split("*")
    .map((literal) => literal.replace(/[\\^$.|?+()[\]{}]/g, "\\$&"))
    .join(".*");
  return new RegExp(part.startsWith("*") ? `^(?!\\.)${pattern}$` : `^${pattern}$`, "s");
}

/** @throws TidemarkError `fix-configuration` when no reader knows such files */
export function formatOf(file: string): FileFormat {
  const format = FORMATS[path.extname(file).toLowerCase()];
  if (format === undefined) {
    throw new TidemarkError(
      "fix-configuration",
      `${file} is of a kind that cannot be read. Files are known by their names' ends: ${EXTENSIONS}; name them more exactly ("data/*.jsonl"), unpack compressed ones.`,
    );
  }
  return format;
}
