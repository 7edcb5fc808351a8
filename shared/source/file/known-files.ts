/**
 * What reading a file told of it, so that a look at every checkpoint need not read, or unpack, it again. Kept for each split
 * and for one state of its file: a file that has changed since is one of which nothing is known.
 */
import { BEGINNING, type Position } from "../position.ts";
import { type FileStamp, isSameStamp } from "./open-file.ts";

/** What follows a position. */
export interface Known {
  readonly holdsRecords: boolean;
  /** The first record after the position, where that is known as well. */
  readonly first?: Position | undefined;
  /** Nothing follows, not even an unfinished line. */
  readonly atEnd: boolean;
  /** It is of a format to which nothing is appended. */
  readonly bounded: boolean;
}

interface KnownFile {
  readonly stamp: FileStamp;
  /** The last records of the pages that were read last, the latest one last. */
  ends: readonly Position[];
  /** What follows the latest of these; undefined: it was not read yet. */
  end?: { readonly unfinished: boolean } | undefined;
  /** It is being read on. */
  active: boolean;
  look?: { readonly after: Position; readonly known: Known };
}

/** One reading of a file as it goes on. */
export interface Reading {
  /** @param last the page's last record @param end undefined: more may follow */
  page(last: Position | undefined, end: { readonly unfinished: boolean } | undefined): void;
  close(): void;
}

/** A batch may be tried while the next ones are read. */
const ENDS_KEPT = 4;

export class KnownFiles {
  readonly #files = new Map<string, KnownFile>();

  /** A reading begins after a position. Of several of one file the one that is furthest is kept. */
  reading(split: string, stamp: FileStamp, after: Position): Reading {
    const file: KnownFile = { stamp, ends: [after], active: true };
    const keep = (): void => {
      const kept = this.#of(split, stamp);
      if (kept === undefined || lastOf(kept) <= lastOf(file)) this.#files.set(split, file);
    };
    keep();
    return {
      page(last, end) {
        if (last !== undefined) file.ends = [...file.ends.slice(1 - ENDS_KEPT), last];
        file.end = end;
        keep();
      },
      close() {
        file.active = false;
      },
    };
  }

  looked(split: string, stamp: FileStamp, after: Position, known: Known): void {
    const kept = this.#of(split, stamp);
    if (kept === undefined) this.#files.set(split, { stamp, ends: [], active: false, look: { after, known } });
    else kept.look = { after, known };
  }

  /** Undefined: nothing is known of what follows. */
  after(split: string, stamp: FileStamp, after: Position): Known | undefined {
    const file = this.#of(split, stamp);
    if (file === undefined) return undefined;
    if (file.look?.after === after) return file.look.known;
    if (file.ends.length === 0 || after > lastOf(file)) return undefined;
    // Whoever reads on is about to find out; a look that takes it for more notes nothing.
    if (after < lastOf(file) || (file.end === undefined && file.active)) {
      return { holdsRecords: true, atEnd: false, bounded: false };
    }
    return file.end && { holdsRecords: false, atEnd: !file.end.unfinished, bounded: false };
  }

  /** Whether it is known that a record lies in `(after, to]`. */
  wasRead(
    split: string,
    stamp: FileStamp,
    { after, to }: { readonly after: Position; readonly to: Position },
  ): boolean {
    const ends = this.#of(split, stamp)?.ends ?? [];
    return ends.some((position) => after < position && position <= to);
  }

  #of(split: string, stamp: FileStamp): KnownFile | undefined {
    const file = this.#files.get(split);
    return file !== undefined && isSameStamp(file.stamp, stamp) ? file : undefined;
  }
}

const lastOf = ({ ends }: KnownFile): Position => ends.at(-1) ?? BEGINNING;
