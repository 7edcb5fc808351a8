/**
 * One slice of a snapshot: a stretch of a state table, scanned into parts.
 *
 * Invariants:
 * - The image of each key is `imageAtCut`'s, never a guess; a key without a state at the cut is left out.
 * - Memory holds a page and a compressor, whatever the slice holds.
 * - A slice that another invocation is working on is followed, and taken over only when it stands still.
 */
import type { CheckpointingMode } from "../app/define-app.ts";
import { describeThrown, TidemarkError } from "../errors.ts";
import type { ScanPage } from "../state/state-backend.ts";
import { ABSENT, imageAtCut, type StateItem } from "../state/state-item.ts";
import { partName } from "../storage/object-paths.ts";
import { type CheckpointRun, type Interruption, readWhileOpen } from "./checkpoint-run.ts";
import type { Covered } from "./coverage.ts";
import { encodePartItem, writePart } from "./part-file.ts";
import { readProgress, type SlicePlace, type SliceProgress, saveProgress } from "./slice-progress.ts";

/** A part ends with the page in which it reaches either: what a Lambda invocation writes in some seconds. */
const PART_BYTES_MAX = 64 * 1024 * 1024;
/** See `AppResources.partItemsMax`. */
const PART_ITEMS_MAX = 100_000;

/** Keys of tombstones noted with the progress, at the most: an item holds 400 KB, parts included. */
const TOMBSTONE_BYTES_MAX = 50_000;

/** Another writer's part takes at most so long; after that it is taken for dead. It saves double work, nothing else. */
const TAKE_OVER_MS = 60_000;

export interface SliceWork {
  readonly run: CheckpointRun;
  readonly place: SlicePlace;
  readonly slices: number;
  readonly mode: CheckpointingMode;
  readonly covered: Covered;
  /** Another slice failed: this one stops. */
  readonly signal: AbortSignal;
}

/** An item that no longer has an image at the cut: the checkpoint must be aborted. */
export class ImageGone extends Error {}

/** Writes what is left of the slice. Costs a scan of the slice, and for each part one PUT and one small write. */
export async function snapshotSlice(work: SliceWork): Promise<"done" | Interruption> {
  const { run, place } = work;
  const { control } = run.resources;
  let progress = await readProgress(control, place);
  for (;;) {
    if (progress.done) return "done";
    const outcome = await goOn(work, progress);
    if (outcome !== "lost") return outcome;
    const followed = await follow(work);
    if (typeof followed === "string") return followed;
    progress = followed;
  }
}

/** Waits while another writer gets on with the slice: its progress once it is done, or has stood still for long. */
async function follow({ run, place, signal }: SliceWork): Promise<SliceProgress | Interruption> {
  const { clock, control } = run.resources;
  let seen = await readProgress(control, place);
  let sinceMs = clock.now();
  while (!seen.done && clock.now() - sinceMs < TAKE_OVER_MS) {
    if (clock.now() + run.pollMs >= run.untilMs || signal.aborted) return "unfinished";
    await clock.sleep(run.pollMs);
    if ((await readWhileOpen(run)) === undefined) return "superseded";
    const next = await readProgress(control, place);
    if (next.v !== seen.v) sinceMs = clock.now();
    seen = next;
  }
  return seen;
}

/** Writes part after part; `lost`: another writer is on this slice. */
async function goOn(work: SliceWork, begun: SliceProgress): Promise<"done" | "lost" | Interruption> {
  const { run, place, slices } = work;
  const { clock, compression, control, randomness, state, storage } = run.resources;
  const scope = { function: place.function, generation: run.generation };
  const writer = randomness.token();
  const pages = state.scan(scope, { index: place.slice, count: slices }, begun.cursor)[Symbol.asyncIterator]();
  let progress = begun;
  try {
    for (;;) {
      if (clock.now() >= run.untilMs || work.signal.aborted) return "unfinished";
      if ((await readWhileOpen(run)) === undefined) return "superseded";
      const part = new Part(work, progress);
      const first = await part.firstLines(pages);
      const sequence = progress.parts.length;
      const name = partName({ function: place.function, slice: place.slice, sequence, writer });
      if (first !== undefined) {
        const stored = await writePart(storage, place.checkpoint, name, part.lines(first, pages), compression);
        part.file = { name, function: place.function, items: part.items, ...stored };
      }
      const next = part.progress(randomness.token());
      if (!(await saveProgress(control, place, { read: progress, next }))) return "lost";
      progress = next;
      if (progress.done) return "done";
    }
  } finally {
    await pages.return?.();
  }
}

type Pages = AsyncIterator<ScanPage>;

/** What one part takes from the scan. */
class Part {
  items = 0;
  file: SliceProgress["parts"][number] | undefined;
  readonly #work: SliceWork;
  readonly #before: SliceProgress;
  readonly #tombstones: string[];
  #moreTombstones: boolean;
  #tombstoneBytes: number;
  #bytes = 0;
  #cursor: string | undefined;
  #done = false;

  constructor(work: SliceWork, before: SliceProgress) {
    this.#work = work;
    this.#before = before;
    this.#cursor = before.cursor;
    this.#tombstones = [...before.tombstones];
    this.#moreTombstones = before.moreTombstones;
    this.#tombstoneBytes = before.tombstones.reduce((sum, key) => sum + Buffer.byteLength(key), 0);
  }

  /** The lines of the first page that has any; undefined: there is none, and so no file. */
  async firstLines(pages: Pages): Promise<string | undefined> {
    while (!this.#isFull()) {
      const lines = await this.#take(pages);
      if (lines !== "") return lines;
    }
    return undefined;
  }

  async *lines(first: string, pages: Pages): AsyncGenerator<string> {
    yield first;
    while (!this.#isFull()) {
      const lines = await this.#take(pages);
      if (lines !== "") yield lines;
    }
  }

  progress(v: string): SliceProgress & { readonly v: string } {
    return {
      ...(this.#cursor === undefined || this.#done ? {} : { cursor: this.#cursor }),
      parts: this.file === undefined ? this.#before.parts : [...this.#before.parts, this.file],
      tombstones: this.#tombstones,
      moreTombstones: this.#moreTombstones,
      done: this.#done,
      v,
    };
  }

  /** Full, at the end of the slice, or out of time: what was taken is worth a part all the same. */
  #isFull(): boolean {
    const { run, signal } = this.#work;
    const { clock, partItemsMax = PART_ITEMS_MAX } = run.resources;
    const outOfTime = clock.now() >= run.untilMs || signal.aborted;
    return this.#done || this.#bytes >= PART_BYTES_MAX || this.items >= partItemsMax || outOfTime;
  }

  async #take(pages: Pages): Promise<string> {
    const next = await pages.next();
    if (next.done === true) {
      this.#done = true;
      return "";
    }
    this.#cursor = next.value.cursor;
    this.#done = next.value.cursor === undefined;
    const lines: string[] = [];
    for (const item of next.value.items) {
      this.#noteTombstone(item);
      const image = this.#imageOf(item);
      if (image === ABSENT) continue;
      lines.push(encodePartItem({ key: item.key, state: image.value, stateVersion: image.version }));
      this.items += 1;
    }
    const text = lines.join("");
    this.#bytes += text.length;
    return text;
  }

  #imageOf(item: StateItem): StateItem["state"] {
    if (this.#work.mode === "at-least-once") return item.state;
    try {
      return imageAtCut(item, this.#work.place.checkpoint);
    } catch (cause) {
      throw new ImageGone(cause instanceof TidemarkError ? cause.message : describeThrown(cause), { cause });
    }
  }

  #noteTombstone(item: StateItem): void {
    if (item.state !== ABSENT || !this.#work.covered(this.#work.place.function, item)) return;
    this.#tombstoneBytes += Buffer.byteLength(item.key);
    if (this.#tombstoneBytes > TOMBSTONE_BYTES_MAX) this.#moreTombstones = true;
    else this.#tombstones.push(item.key);
  }
}
