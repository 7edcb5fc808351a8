/**
 * What a file is, by its first bytes; its name only says that somebody means it to be read. Pure.
 *
 * Invariant: a file that is read as JSON lines is in UTF-8 as far as its beginning tells, and no JSON document.
 */
import path from "node:path";
import { constants, gunzipSync } from "node:zlib";

export type FileFormat = "json-lines" | "parquet";

export interface FileKind {
  readonly format: FileFormat;
  readonly gzip: boolean;
}

/** Why a file is not read, in a clause that goes on after its name, with the way out. */
export interface NotRead {
  readonly reason: string;
}

/** So much of a file's beginning is looked at. As much of gzip holds at most 4 MB. */
export const HEAD_BYTES = 4096;

const FORMATS: Readonly<Record<string, FileFormat>> = {
  ".jsonl": "json-lines",
  ".ndjson": "json-lines",
  ".json": "json-lines",
  ".parquet": "parquet",
};

export const READABLE = "JSON lines (also gzipped) and Parquet";

/** The format that a name promises, `.gz` or not; undefined: only the content can tell. */
export function formatOfName(name: string): FileFormat | undefined {
  const unpacked = name.toLowerCase().replace(/\.gz$/, "");
  const format = FORMATS[path.extname(unpacked)];
  return format === "parquet" && unpacked.length < name.length ? undefined : format;
}

/**
 * What a file is that is to be read.
 * @param head its first bytes, {@link HEAD_BYTES} of them or all
 */
export function kindOf(name: string, head: Buffer): FileKind | NotRead {
  const gzip = isGzip(head);
  const content = gzip ? unpackedHead(head) : head;
  // Who reads on says where it is broken.
  if (content === undefined) return { format: "json-lines", gzip };
  if (isGzip(content) && gzip) return { reason: "it is gzipped twice: unpack it once" };
  if (content.subarray(0, 4).equals(PARQUET)) {
    if (gzip) return { reason: "it is a gzipped Parquet file, which has no end to begin at: unpack it" };
    return { format: "parquet", gzip };
  }
  // The Parquet reader says what is wrong with it.
  if (formatOfName(name) === "parquet") return { format: "parquet", gzip: false };
  const reason = foreignCompression(content) ?? foreignEncoding(content) ?? documentOf(name, content);
  return reason === undefined ? { format: "json-lines", gzip } : { reason };
}

/**
 * What a file is whose name says nothing: what is surely of a kind that can be read is taken, and gzip that is broken, which
 * may have been.
 */
export function kindByContent(name: string, head: Buffer): FileKind | NotRead {
  if (head.length === 0) return { reason: "it is empty, and its name does not say what it will hold" };
  const kind = kindOf(name, head);
  if ("reason" in kind || kind.format === "parquet") return kind;
  const content = kind.gzip ? unpackedHead(head) : head;
  if (content === undefined || withoutMarks(content).trimStart().startsWith("{")) return kind;
  return { reason: `it begins neither as JSON lines nor as Parquet${kind.gzip ? ", unpacked" : ""}` };
}

const PARQUET = Buffer.from("PAR1");

function isGzip(head: Buffer): boolean {
  return head[0] === 0x1f && head[1] === 0x8b;
}

/** Undefined: it cannot be unpacked. */
function unpackedHead(head: Buffer): Buffer | undefined {
  try {
    // A flush in place of the end: the head breaks off in the middle.
    return gunzipSync(head, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, HEAD_BYTES);
  } catch {
    return undefined;
  }
}

const COMPRESSIONS: readonly (readonly [name: string, magic: Buffer])[] = [
  ["zstd", Buffer.from([0x28, 0xb5, 0x2f, 0xfd])],
  ["bzip2", Buffer.from("BZh")],
  ["xz", Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a])],
  ["zip", Buffer.from([0x50, 0x4b, 0x03, 0x04])],
  ["framed Snappy", Buffer.from([0xff, 0x06, 0x00, 0x00, 0x73])],
];

function foreignCompression(head: Buffer): string | undefined {
  const found = COMPRESSIONS.find(([, magic]) => head.subarray(0, magic.length).equals(magic));
  return found && `it is compressed with ${found[0]}, and only gzip is read: unpack it, or compress it with gzip`;
}

/** JSON begins with two ASCII characters, and never has a NUL: where the NULs stand tells the encoding, mark or not. */
function foreignEncoding(head: Buffer): string | undefined {
  const [a, b, c, d] = head;
  const nul = (byte: number | undefined): boolean => byte === 0;
  let encoding: string | undefined;
  if (a === 0xff && b === 0xfe) encoding = nul(c) && nul(d) ? "UTF-32LE" : "UTF-16LE";
  else if (a === 0xfe && b === 0xff) encoding = "UTF-16BE";
  else if (nul(a) && nul(b) && ((c === 0xfe && d === 0xff) || (nul(c) && d !== undefined && !nul(d))))
    encoding = "UTF-32BE";
  else if (nul(a) && b !== undefined && !nul(b)) encoding = "UTF-16BE";
  else if (a !== undefined && !nul(a) && nul(b)) encoding = nul(c) && nul(d) ? "UTF-32LE" : "UTF-16LE";
  return (
    encoding &&
    `it is ${encoding}, and JSON lines are UTF-8: iconv -f ${encoding} -t UTF-8 FILE > NEW, without a mark at its beginning`
  );
}

/** A JSON document is the likeliest mistake: each of its lines would become a dead letter. */
function documentOf(name: string, content: Buffer): string | undefined {
  const text = withoutMarks(content).trimStart();
  const [first = "", ...following] = text.split("\n").map((line) => line.trim());
  const broken = following.length > 0;
  if (text.startsWith("[")) {
    const named = /\.json(?:\.gz)?$/i.test(name) && /^\[\s*(?:\{|$)/.test(text);
    if (!named && !(broken && /[[,]$/.test(first))) return undefined;
    return 'it begins with "[", so it is one JSON array, and JSON lines hold one record a line: jq -c ".[]" FILE > NEW.jsonl';
  }
  if (!broken || first !== "{" || !/^["}]/.test(following.find((line) => line !== "") ?? "")) return undefined;
  return "it is a JSON document over several lines, and JSON lines hold one record a line: jq -c . FILE > NEW.jsonl";
}

const withoutMarks = (content: Buffer): string => content.toString("utf8").replace(/^\uFEFF+/, "");
