/**
 * Which files a binding means. A split is a file; its name is the path below the binding's fixed folder (all that
 * stands before the first `*`), `/`-separated, so that it stays the same wherever the folder is.
 *
 * Invariant: every name that the binding means is listed, or left out with its reason.
 */
import type { Dirent } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import path from "node:path";
import { describeThrown, TidemarkError } from "../../errors.ts";
import { forEach } from "../../for-each.ts";
import type { LeftOut } from "../source.ts";
import { formatOfName, kindByContent, READABLE } from "./file-kind.ts";
import { type FileStamp, isSameStamp, notAFile, recognise, stampOf } from "./open-file.ts";

/** Of so many files that are left out the reasons are kept; of the others, how many there are. */
const LEFT_OUT_MAX = 1_000;
/** Files whose names say nothing are looked into this many at a time. */
const LOOKED_INTO_AT_ONCE = 16;
/** What names that are no UTF-8 become. */
const REPLACEMENT = "\uFFFD";

export class FileSplits {
  readonly #pattern: string;
  readonly #folder: string;
  /** One for each part of the path below the folder. */
  readonly #parts: readonly RegExp[];
  /** What was found out by looking into a file; undefined as its reason: it is read. A file that changes is looked into again. */
  readonly #seen = new Map<string, { readonly stamp: FileStamp; readonly reason: string | undefined }>();
  #leftOut: { readonly name: string; readonly reason: string }[] = [];
  #leftOutTotal = 0;

  private constructor(pattern: string, folder: string, parts: readonly string[]) {
    this.#pattern = pattern;
    this.#folder = folder;
    this.#parts = parts.map(matcher);
  }

  /**
   * @param pattern a file, a folder (its files, not those of folders in it), or a path whose last parts hold `*`
   * @throws TidemarkError `fix-configuration` when there is no such path, or it is one file that cannot be read
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
      return new FileSplits(pattern, folder, parts.slice(firstGlob));
    }
    const full = path.resolve(baseFolder, pattern);
    const found = await stat(full).catch((cause: unknown) => {
      throw new TidemarkError(
        "fix-configuration",
        `There is no file or folder ${full} (given as ${JSON.stringify(pattern)}). Relative paths begin at ${path.resolve(baseFolder)}.`,
        { cause },
      );
    });
    if (found.isDirectory()) return new FileSplits(pattern, full, ["*"]);
    const splits = new FileSplits(pattern, path.dirname(full), [path.basename(full)]);
    const reason = notAFile(found) ?? (await splits.#reasonAgainst(path.basename(full)));
    if (reason === undefined) return splits;
    throw new TidemarkError(
      "fix-configuration",
      `${full} is of a kind that cannot be read: ${reason}. What is read are ${READABLE}, recognised by their names (.jsonl, .ndjson, .json, .parquet) or by their content.`,
    );
  }

  /** What {@link names} left out when it was read through last. */
  get leftOut(): LeftOut {
    return { place: this.#pattern, files: this.#leftOut, total: this.#leftOutTotal };
  }

  /** The names of the files there are now, in order. */
  async *names(): AsyncGenerator<string> {
    const leftOut: { readonly name: string; readonly reason: string }[] = [];
    let total = 0;
    for await (const found of this.#walk("", 0)) {
      if (found.reason === undefined) yield found.name;
      else if (++total <= LEFT_OUT_MAX) leftOut.push({ name: found.name, reason: found.reason });
    }
    this.#leftOut = leftOut;
    this.#leftOutTotal = total;
  }

  async *#walk(
    below: string,
    depth: number,
  ): AsyncGenerator<{ readonly name: string; readonly reason: string | undefined }> {
    const part = this.#parts[depth];
    if (part === undefined) return;
    const matching = (await this.#list(below)).filter(({ name }) => part.test(name));
    if (depth < this.#parts.length - 1) {
      for (const entry of matching) {
        const name = `${below}${entry.name}`;
        if (await this.#isFolder(entry, name)) yield* this.#walk(`${name}/`, depth + 1);
      }
      return;
    }
    for (let from = 0; from < matching.length; from += LEFT_OUT_MAX) {
      const some = matching.slice(from, from + LEFT_OUT_MAX);
      const reasons = new Map<Dirent, string | undefined>();
      await forEach(some, LOOKED_INTO_AT_ONCE, async (entry) => {
        reasons.set(entry, await this.#reasonAgainstEntry(entry, `${below}${entry.name}`));
      });
      for (const entry of some) yield { name: `${below}${entry.name}`, reason: reasons.get(entry) };
    }
  }

  async #list(below: string): Promise<Dirent[]> {
    const folder = path.join(this.#folder, below);
    const entries = await readdir(folder, { withFileTypes: true }).catch((cause: unknown) => {
      throw new TidemarkError(
        "fix-configuration",
        `The folder ${folder} of ${JSON.stringify(this.#pattern)} cannot be listed: ${describeThrown(cause)}.`,
        { cause },
      );
    });
    entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    // Two names that are no UTF-8 may look like one.
    return entries.filter(({ name }, index) => name !== entries[index - 1]?.name);
  }

  async #isFolder(entry: Dirent, name: string): Promise<boolean> {
    if (!entry.isSymbolicLink()) return entry.isDirectory();
    return (await stat(path.join(this.#folder, name)).catch(() => undefined))?.isDirectory() ?? false;
  }

  /** Why an entry is left out; undefined: it is a split. What its name promises is opened only when it is read. */
  async #reasonAgainstEntry(entry: Dirent, name: string): Promise<string | undefined> {
    if (entry.isFile() && !name.includes(REPLACEMENT)) return await this.#reasonAgainst(name);
    let kind: Parameters<typeof notAFile>[0] = entry;
    if (entry.isSymbolicLink() || name.includes(REPLACEMENT)) {
      try {
        kind = await stat(path.join(this.#folder, name));
      } catch (thrown) {
        return name.includes(REPLACEMENT)
          ? "its name is not UTF-8: rename it"
          : `it is a link that leads nowhere (${describeThrown(thrown)})`;
      }
    }
    const what = notAFile(kind);
    if (what === undefined) return await this.#reasonAgainst(name);
    return kind.isDirectory() ? `${what}: files in folders are read by a path like "data/*/*.jsonl"` : what;
  }

  async #reasonAgainst(name: string): Promise<string | undefined> {
    if (formatOfName(name) !== undefined) return undefined;
    const file = path.join(this.#folder, name);
    const found = await stat(file, { bigint: true }).catch(() => undefined);
    const seen = this.#seen.get(name);
    if (found !== undefined && seen !== undefined) {
      // What is appended to a file that is read does not change what it is.
      if (seen.reason === undefined || isSameStamp(seen.stamp, stampOf(found))) return seen.reason;
    }
    const kind = await recognise(file, kindByContent);
    const reason = "reason" in kind ? kind.reason : undefined;
    if (found !== undefined) this.#seen.set(name, { stamp: stampOf(found), reason });
    return reason;
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
