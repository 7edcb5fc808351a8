/**
 * Part files: the keys of a slice as gzipped JSON lines, in the form of DynamoDB's own exports and imports
 * (`{"Item":{"key":{"S":…},"state":{…},"stateVersion":{"N":"2"}}}`, and `stateBigInts` where the state holds BigInts).
 *
 * Invariants:
 * - Neither half ever holds a whole part: pages go through the compressor as fast as the storage takes them.
 * - Bytes and SHA-256 are those of the file as stored; a reader that came to the end has checked both, and the count.
 * - A file is never trusted before that: reading stops at the first byte, item or character of a line that is too many.
 */
import { createHash, type Hash } from "node:crypto";
import type { AttributeValue } from "@aws-sdk/client-dynamodb";
import { describeThrown, TidemarkError } from "../errors.ts";
import { fromAttribute, toAttribute } from "../json/attribute-value.ts";
import { type BigIntMarks, marksOf } from "../json/big-int-marks.ts";
import type { JsonValue } from "../json/json-value.ts";
import type { CheckpointStorage } from "../storage/checkpoint-storage.ts";
import { type Compression, gzip } from "../storage/compression.ts";
import { MeasuredBody } from "../storage/measured-body.ts";
import { partPath } from "../storage/object-paths.ts";
import type { ManifestFile } from "./manifest.ts";

/** The image of one key; keys without a state are not written. */
export interface PartItem {
  readonly key: string;
  readonly state: JsonValue;
  readonly stateVersion: number;
}

/** One line of a part, its end included. */
export function encodePartItem(item: PartItem): string {
  const marks = marksOf(item.state);
  const attributes = {
    key: { S: item.key },
    state: toAttribute(item.state),
    stateVersion: { N: String(item.stateVersion) },
    ...(marks === undefined ? {} : { stateBigInts: toAttribute(marks) }),
  };
  return `${JSON.stringify({ Item: attributes })}\n`;
}

function decodePartItem(line: string): PartItem {
  const { Item } = JSON.parse(line) as { readonly Item: { readonly [name: string]: AttributeValue } };
  const { key, state, stateVersion, stateBigInts } = Item;
  if (key?.S === undefined || state === undefined || stateVersion?.N === undefined) throw new Error("not an item");
  const marks = stateBigInts && (fromAttribute(stateBigInts) as BigIntMarks);
  return { key: key.S, state: fromAttribute(state, marks), stateVersion: Number(stateVersion.N) };
}

/**
 * No line is longer: the attributes of an item of 400 KB take at most nine characters for each byte that DynamoDB counts
 * (an empty text in a list: `{"S":""},`), and a key six times its 2 KB.
 */
const LINE_CHARACTERS_MAX = 16 * 1024 * 1024;

/** Passes bytes on and hashes them. */
async function* hashed(body: AsyncIterable<Uint8Array>, hash: Hash): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    hash.update(chunk);
    yield chunk;
  }
}

/** Passes on as many bytes as a file is said to have; throws what `tooMany` makes at the first that is too many. */
async function* bounded(
  body: AsyncIterable<Uint8Array>,
  bytesMax: number,
  tooMany: () => Error,
): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.byteLength;
    if (bytes > bytesMax) throw tooMany();
    yield chunk;
  }
}

/**
 * Writes a part of encoded lines ({@link encodePartItem}), some at a time. Durable when it returns; a crash before
 * leaves nothing under its name, or a whole file that no manifest names. One PUT (a multipart upload when large).
 */
export async function writePart(
  storage: CheckpointStorage,
  checkpoint: number,
  name: string,
  lines: AsyncIterable<string>,
  compression: Compression = gzip,
): Promise<{ readonly bytes: number; readonly sha256: string }> {
  const hash = createHash("sha256");
  const compressed = compression.compress(lines);
  const body = new MeasuredBody(hashed(compressed, hash));
  try {
    await storage.write(partPath(checkpoint, name), body);
  } catch (thrown) {
    body.throwOwnFailure();
    throw thrown;
  } finally {
    // A storage that failed may have left off in the middle.
    await compressed.return(undefined);
  }
  return { bytes: body.bytes, sha256: hash.digest("hex") };
}

/**
 * The items of a part, in the order they were written. One GET, read as a stream.
 * @throws TidemarkError `choose-another-checkpoint` that names the file when it is missing or not the one that the
 * manifest describes; a change is found at the latest after the last item.
 */
export async function* readPart(
  storage: CheckpointStorage,
  checkpoint: number,
  file: ManifestFile,
  compression: Compression = gzip,
): AsyncGenerator<PartItem, void> {
  const path = partPath(checkpoint, file.name);
  const object = await storage.read(path);
  if (object === undefined) throw damaged(checkpoint, file, "it is missing");
  const hash = createHash("sha256");
  const body = new MeasuredBody(object.body);
  const stored = bounded(body, file.bytes, () => damaged(checkpoint, file, `it has more than ${file.bytes} bytes`));
  let items = 0;
  try {
    for await (const line of linesOf(compression.decompress(hashed(stored, hash)))) {
      if (items === file.items) throw damaged(checkpoint, file, `it has more than ${items} items`);
      const item = decodePartItem(line);
      items += 1;
      yield item;
    }
  } catch (thrown) {
    body.throwOwnFailure();
    if (thrown instanceof TidemarkError) throw thrown;
    throw damaged(checkpoint, file, `it cannot be read after ${items} items (${describeThrown(thrown)})`);
  }
  if (body.bytes !== file.bytes) throw damaged(checkpoint, file, `it has ${body.bytes} bytes instead of ${file.bytes}`);
  if (hash.digest("hex") !== file.sha256) throw damaged(checkpoint, file, "its SHA-256 is another");
  if (items !== file.items) throw damaged(checkpoint, file, `it has ${items} items instead of ${file.items}`);
}

async function* linesOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let rest = "";
  for await (const chunk of body) {
    const lines = decoder.decode(chunk, { stream: true }).split("\n");
    lines[0] = rest + lines[0];
    rest = lines.pop() as string;
    yield* lines;
    if (rest.length > LINE_CHARACTERS_MAX) throw new Error(`a line has more than ${LINE_CHARACTERS_MAX} characters`);
  }
  rest += decoder.decode();
  if (rest !== "") throw new Error("the last line has no end");
}

function damaged(checkpoint: number, file: ManifestFile, how: string): TidemarkError {
  return new TidemarkError(
    "choose-another-checkpoint",
    `The file ${file.name} of checkpoint ${checkpoint} is not what its manifest says: ${how}. Choose another checkpoint, or bring the file back.`,
  );
}
