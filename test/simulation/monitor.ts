/**
 * Watches every write as it is applied, and breaks off at the first that no history may have.
 *
 * What it knows of the app it gathers from the writes alone: which checkpoint is open, what stands at each address,
 * which generation came from where.
 */
import type { ConditionalWrite } from "../../shared/control/conditional-write.ts";
import type { Control } from "../../shared/control/control.ts";
import type { ItemKey, UpdateAnswer } from "../../shared/control/control-store.ts";
import type { Split } from "../../shared/control/split.ts";
import { REDRIVE_SPLIT } from "../../shared/dead-letter/redrive-letter.ts";
import type { StateScope } from "../../shared/state/state-backend.ts";
import { ABSENT, type StateItem } from "../../shared/state/state-item.ts";
import { controlStepOf } from "./control-step.ts";
import type { Coverage } from "./coverage.ts";
import { promise } from "./violation.ts";
import type { Watcher } from "./world-stores.ts";

/** What stands at a checkpoint's address. */
export interface Addressed {
  readonly kind: "manifest" | "aborted" | "deleted";
  readonly token: string;
  readonly generation: number;
  readonly restoredFrom?: { readonly generation: number; readonly checkpoint: number };
  readonly mode?: string;
  readonly triggeredAt?: string;
  readonly completedAt?: string;
  readonly functions?: readonly {
    readonly name: string;
    readonly keys: number;
    readonly splits: readonly {
      readonly split: string;
      readonly position: string;
      readonly ended: boolean;
      readonly failing?: { readonly since: string; readonly stopped?: true };
      readonly holes: readonly never[];
    }[];
  }[];
  readonly files?: readonly { readonly name: string; readonly items: number; readonly sha256: string }[];
}

const MANIFEST = /^chk-(\d{10})\/manifest\.json$/;
const LETTER = /^dead-letters\/[^/]+\/(.)\/(\d+)\.json$/;
const PART = /^chk-(\d{10})\/(?!manifest\.json$)(.+)$/;

export class Monitor implements Watcher {
  known: Control | undefined;
  /** Function -> split -> its item. */
  readonly #splits = new Map<string, Map<string, Split>>();
  readonly addressed = new Map<number, Addressed>();
  readonly parts = new Map<string, Uint8Array>();
  /** Events that have become dead letters. */
  readonly letters = new Set<string>();
  /** How many letters were put back. */
  redriven = 0;
  /** Generation -> what it was restored from. */
  readonly lineage = new Map<number, { readonly generation: number; readonly checkpoint: number }>();
  /** Told of a manifest as soon as it stands. */
  committed: (n: number, manifest: Addressed) => void = () => {};
  /** Told of a split item as soon as it is written. */
  readonly onSplit: ((name: string, split: Split, before: Split | undefined, functionName: string) => void)[] = [];
  /** Told of control as soon as it is written. */
  readonly onControl: ((now: Control, before: Control | undefined) => void)[] = [];
  /** Generations whose load has met a part that was altered. */
  readonly damaged = new Set<number>();
  /** Tokens of restores that were asked for. */
  readonly #requests = new Set<string>();
  readonly #coverage: Coverage;

  readonly #liveFunction: () => string;

  /** @param liveFunction - what the function is called */
  constructor(coverage: Coverage, liveFunction: () => string) {
    this.#coverage = coverage;
    this.#liveFunction = liveFunction;
  }

  /** The splits of the function as it is called now. */
  get splits(): ReadonlyMap<string, Split> {
    return this.#splitsOf(this.#liveFunction());
  }

  #splitsOf(functionName: string): Map<string, Split> {
    let splits = this.#splits.get(functionName);
    if (splits === undefined) {
      splits = new Map();
      this.#splits.set(functionName, splits);
    }
    return splits;
  }

  control(key: ItemKey, write: ConditionalWrite, answer: UpdateAnswer): void {
    this.#coverage.step(controlStepOf(key, write), answer.applied);
    if (!answer.applied) return;
    if (key.partition === "CONTROL") this.#controlWritten(answer.after as unknown as Control);
    else if (key.partition.startsWith("SPLIT#")) this.#splitWritten(key, answer.after as unknown as Split);
    else if (key.sort === "#damaged") this.damaged.add(Number(key.partition.slice("LOAD#".length)));
  }

  #controlWritten(now: Control): void {
    const before = this.known;
    this.known = now;
    for (const told of this.onControl) told(now, before);
    if (before === undefined) return;
    this.#restoreRecorded(now, before);
    promise(now.epoch >= before.epoch, () => `control's epoch went back from ${before.epoch} to ${now.epoch}`);
    promise(now.gen >= before.gen, () => `the live generation went back from ${before.gen} to ${now.gen}`);
    promise(now.maxGen >= before.maxGen, () => `maxGen went back from ${before.maxGen} to ${now.maxGen}`);
    promise(now.gen <= now.maxGen, () => `generation ${now.gen} is live, and ${now.maxGen} is the highest recorded`);
    for (const n of Object.keys(now.deleting ?? {})) {
      if (before.deleting?.[n] === undefined) this.#deletionAnnounced(Number(n), now);
    }
    if (now.gen !== before.gen && now.restoredFrom !== undefined) this.lineage.set(now.gen, now.restoredFrom);
    const { checkpoint } = now;
    const was = before.checkpoint;
    if (checkpoint === undefined) return;
    if (checkpoint.open && checkpoint.token !== was?.token) {
      promise(checkpoint.n > (was?.n ?? 0), () => `the number ${checkpoint.n} is used for a second checkpoint`);
      promise(was?.open !== true, () => `checkpoint ${checkpoint.n} was opened while ${was?.n} was open`);
      promise(before.phase === "RUNNING", () => `checkpoint ${checkpoint.n} was opened while a restore ran`);
    }
    if (was?.open !== true || checkpoint.open || checkpoint.token !== was.token) return;
    const standing = this.addressed.get(checkpoint.n);
    const kind = checkpoint.status === "COMPLETED" ? "manifest" : "aborted";
    promise(standing?.kind === kind && standing.token === checkpoint.token, () => {
      return `control says that checkpoint ${checkpoint.n} is ${checkpoint.status}, and at its address stands ${standing?.kind ?? "nothing"}`;
    });
    promise(checkpoint.reason?.includes("The image of key") !== true, () => {
      return `checkpoint ${checkpoint.n} had to be aborted for want of an image: ${checkpoint.reason}`;
    });
  }

  /** One that was asked for is recorded only while it still is. */
  #restoreRecorded({ requested, restore }: Control, before: Control): void {
    if (requested !== undefined) this.#requests.add(requested.token);
    if (restore === undefined || restore.token === before.restore?.token || !this.#requests.has(restore.token)) return;
    promise(before.requested?.token === restore.token && before.requested.refused === undefined, () => {
      return `the restore of checkpoint ${restore.checkpoint} begins, and nobody asks for it any more`;
    });
  }

  #splitWritten({ partition, sort: name }: ItemKey, now: Split): void {
    if (now.epoch === undefined) return;
    const functionName = partition.slice("SPLIT#".length);
    const items = this.#splitsOf(functionName);
    const before = items.get(name);
    items.set(name, now);
    for (const told of this.onSplit) told(name, now, before, functionName);
    const epoch = this.known?.epoch ?? 0;
    promise(now.epoch <= now.pendingEpoch && now.pendingEpoch <= epoch, () => {
      return `split ${name} is in epoch ${now.epoch}, asked for ${now.pendingEpoch}, and control in ${epoch}`;
    });
    promise(now.position <= now.attemptedTo, () => {
      return `split ${name} stands at ${now.position}, past what was tried: ${now.attemptedTo}`;
    });
    if (before === undefined || before.gen !== now.gen) return;
    promise(now.gen >= before.gen, () => `split ${name} went back to generation ${now.gen}`);
    promise(
      now.position >= before.position,
      () => `split ${name} went back from ${before.position} to ${now.position}`,
    );
    promise(now.epoch >= before.epoch, () => `split ${name} went back from epoch ${before.epoch} to ${now.epoch}`);
  }

  state(_functionName: string, item: StateItem, written: boolean): void {
    if (!written) return;
    this.#turnOfImages(item);
    const control = this.known;
    if (item.before !== undefined) this.#coverage.hit("a before-image is written");
    if (item.state === ABSENT) this.#coverage.hit("a tombstone is written");
    const open =
      control?.checkpoint?.open === true && control.mode === "exactly-once" ? control.checkpoint.n : undefined;
    if (open === undefined || item.generation !== control?.gen) return;
    promise(item.epoch < open || (item.epoch === open && item.before !== undefined), () => {
      return `checkpoint ${open} is open, and key ${item.key} was written without an image at its cut (epoch ${item.epoch})`;
    });
  }

  readonly #items = new Map<string, StateItem>();

  #turnOfImages(item: StateItem): void {
    const place = `${item.generation} ${item.key}`;
    const before = this.#items.get(place);
    this.#items.set(place, item);
    if (before?.before === undefined || before.epoch !== item.epoch || before.before === item.before) return;
    this.#coverage.hit(item.before === undefined ? "a before-image is dropped" : "both images are folded");
  }

  controlRemoved(): void {}

  stateRemoved(): void {}

  object(path: string, body: Uint8Array | undefined): void {
    const letter = LETTER.exec(path);
    if (letter !== null) this.letters.add(`${letter[1]}${Number(letter[2])}`);
    if (path.startsWith("redrive/")) this.redriven += 1;
    const manifest = MANIFEST.exec(path);
    if (manifest !== null) this.#addressWritten(Number(manifest[1]), body);
    const part = PART.exec(path);
    if (part === null) return;
    if (body !== undefined) {
      this.parts.set(path, body);
      return;
    }
    this.parts.delete(path);
    const n = Number(part[1]);
    const standing = this.addressed.get(n);
    promise(standing?.kind !== "manifest" || !standing.files?.some(({ name }) => name === part[2]), () => {
      return `${path} was deleted, and the manifest of checkpoint ${n} names it`;
    });
    promise(standing !== undefined, () => `${path} was deleted while checkpoint ${n} has no outcome yet`);
  }

  #addressWritten(n: number, body: Uint8Array | undefined): void {
    promise(body !== undefined, () => `the address of checkpoint ${n} was freed`);
    const now = JSON.parse(Buffer.from(body).toString("utf8")) as Addressed;
    const before = this.addressed.get(n);
    promise(before === undefined || (before.kind === "manifest" && now.kind === "deleted"), () => {
      return `checkpoint ${n} has two outcomes: ${before?.kind}, then ${now.kind}`;
    });
    this.addressed.set(n, now);
    if (now.kind === "manifest") this.committed(n, now);
    if (now.kind === "deleted") this.#deleted(n);
  }

  /**
   * Never the newest one in which no split was stuck. Where nothing was ever restored, since what is live may change between
   * a decision and its announcement.
   */
  #deletionAnnounced(n: number, { maxGen }: Control): void {
    if (maxGen > 1) return;
    const isStuck = ({ functions = [], triggeredAt = "" }: Addressed): boolean =>
      functions.some(({ splits }) =>
        splits.some(
          ({ failing }) => failing?.stopped === true || (failing !== undefined && failing.since < triggeredAt),
        ),
      );
    const standing = [...this.addressed].filter(([, { kind }]) => kind === "manifest");
    const good = standing.filter(([, one]) => !isStuck(one)).map(([m]) => m);
    if (good.length < standing.length) this.#coverage.hit("retention beside a checkpoint of a stuck split");
    promise(
      n !== Math.max(...good),
      () => `checkpoint ${n} is to be deleted, and no later one is without a stuck split`,
    );
  }

  /** Never one that a restore reads, or that the live generation stands on and has nothing newer than. */
  #deleted(n: number): void {
    const plan = this.known?.restore;
    promise(plan === undefined || plan.finishedAtMs !== undefined || plan.checkpoint !== n, () => {
      return `checkpoint ${n} was deleted while it was being restored`;
    });
    promise(this.#hasOther(n), () => `checkpoint ${n} was deleted, and the live lineage has no other`);
  }

  #hasOther(n: number): boolean {
    for (const [other, { kind }] of this.addressed) {
      if (kind === "manifest" && other !== n && this.isLive(other)) return true;
    }
    return false;
  }

  /** A restore is asked for, and neither recorded nor refused. */
  get isAsked(): boolean {
    const { requested } = this.known ?? {};
    return requested !== undefined && requested.refused === undefined;
  }

  /** A restore stays where it is to be held, and was not told to go on. */
  get isHeld(): boolean {
    const { phase, restore } = this.known ?? {};
    return phase === "REPLAYING" && restore?.heldAtMs !== undefined && restore.wentOnAtMs === undefined;
  }

  /** Letters that were put back are still to be delivered. */
  get redrivenIsDue(): boolean {
    return Number(this.splits.get(REDRIVE_SPLIT)?.position ?? "") < this.redriven;
  }

  /** When a checkpoint that stands completed, by its manifest. */
  completedAtMs(n: number): number | undefined {
    const { kind, completedAt } = this.addressed.get(n) ?? {};
    return kind === "manifest" && completedAt !== undefined ? Date.parse(completedAt) : undefined;
  }

  /** How many checkpoints stand. */
  get completed(): number {
    let count = 0;
    for (const { kind } of this.addressed.values()) if (kind === "manifest") count += 1;
    return count;
  }

  /** The latest that stands in the live lineage. */
  get latest(): number | undefined {
    let latest: number | undefined;
    for (const [n, { kind }] of this.addressed) {
      if (kind === "manifest" && n > (latest ?? 0) && this.isLive(n)) latest = n;
    }
    return latest;
  }

  /** Whether a checkpoint belongs to the live lineage. */
  isLive(n: number): boolean {
    const generation = this.addressed.get(n)?.generation;
    let live = this.known?.gen ?? 1;
    let upTo = Number.POSITIVE_INFINITY;
    for (;;) {
      if (generation === live) return n <= upTo;
      const from = this.lineage.get(live);
      if (from === undefined) return false;
      live = from.generation;
      upTo = from.checkpoint;
    }
  }
}

export type { StateScope };
