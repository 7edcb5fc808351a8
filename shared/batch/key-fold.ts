/**
 * The fold of one batch's events into one key's state (protocol §3 and §4, step 4).
 *
 * Invariants:
 * - An event at or before `applied` of its split is never folded.
 * - `before` is the image before the item's first write in its epoch. It is taken when the item enters a new epoch and
 *   carried along until that epoch's checkpoint has its outcome; from then on it is left out.
 * - An item of a newer epoch than the batch's keeps its epoch; the event belongs before that cut, so it is folded into
 *   `before` as well as into `state`.
 * - A fold that throws has changed nothing: the events before it stay folded.
 * - An event of a record that is given up is never folded: its key is marked instead ◆, over the item as it is, so that
 *   whoever still holds that item cannot write it any more.
 */

import { checkReturned, checkState } from "../function/check-state.ts";
import { explainMutation } from "../function/explain-mutation.ts";
import type { FunctionDefinition } from "../function/function-definition.ts";
import type { KeyNamer } from "../function/name-key.ts";
import { upgradeImage } from "../function/upgrade-image.ts";
import { freezeDeep, freezeNext } from "../json/freeze-deep.ts";
import { BEGINNING, type Position } from "../source/position.ts";
import { ABSENT, givenUpMark, type Image, type StateItem } from "../state/state-item.ts";
import type { PreparedBatch } from "./prepare.ts";

/** What all folds of a batch have in common. */
export interface FoldScope {
  // biome-ignore lint/suspicious/noExplicitAny: the runtime folds functions of any event and state
  readonly definition: FunctionDefinition<any, any>;
  readonly stateVersion: number;
  readonly split: string;
  readonly generation: number;
  readonly exactlyOnce: boolean;
  /** The batch's epoch, after any barrier. */
  readonly epoch: number;
  /** Checkpoints up to here have their outcome. */
  readonly resolved: number;
  /** All records of the batch come after it. */
  readonly after: Position;
  readonly batch: PreparedBatch;
  readonly nameKey: KeyNamer;
}

const NONE = -1;

/** An image as the fold works on it: `undefined` stands for ABSENT, since null is what `handle` returns to clear a key. */
type Working = unknown;

export class KeyFold {
  readonly key: string;
  /** The item that the fold started from. */
  readonly base: StateItem | undefined;
  /** Number of the first event that was folded, within the batch; -1: none is. */
  first = NONE;
  /** Number of the last one. */
  last = NONE;

  readonly #keyIndex: number;
  readonly #scope: FoldScope;
  readonly #appliedTo: Position;
  readonly #epoch: number = 0;
  /** The event's epoch is older than the item's: it belongs into both images. */
  readonly #dual: boolean = false;
  #before: Image | undefined;
  #state: Working;
  #upgraded = false;
  #beforeFold: { value: Working } | undefined;

  /** @param keyIndex - of {@link PreparedBatch.keys} */
  constructor(scope: FoldScope, keyIndex: number, base: StateItem | undefined) {
    this.#scope = scope;
    this.#keyIndex = keyIndex;
    this.key = scope.batch.keys[keyIndex] as string;
    this.base = base;
    // Nearly always all that was applied was also resolved: then no position of the batch needs to be compared.
    // A split may be named as something that every object inherits ("constructor").
    const marks = base?.applied;
    const appliedTo = (marks !== undefined && Object.hasOwn(marks, scope.split) && marks[scope.split]) || BEGINNING;
    this.#appliedTo = appliedTo > scope.after ? appliedTo : BEGINNING;
    this.#epoch = scope.epoch;
    if (!scope.exactlyOnce) {
      this.#epoch = Math.max(base?.epoch ?? 0, scope.epoch);
      return;
    }
    const entersEpoch = base === undefined || base.epoch < scope.epoch;
    if (!entersEpoch) this.#epoch = base.epoch;
    // A before-image serves the checkpoint of its epoch alone; once that has its outcome, nothing needs one.
    if (scope.resolved >= this.#epoch) return;
    this.#before = entersEpoch ? (base?.state ?? ABSENT) : base.before;
    this.#dual = this.#epoch > scope.epoch && this.#before !== undefined;
  }

  /** An image of another epoch has a part in it. */
  get isDual(): boolean {
    return this.#dual;
  }

  get scope(): FoldScope {
    return this.#scope;
  }

  isApplied(index: number): boolean {
    return this.#appliedTo !== BEGINNING && this.#scope.batch.positionAt(index) <= this.#appliedTo;
  }

  /** Whether an invocation has given the event's record up, and ended before it could note that on the split. */
  isGivenUp(index: number): boolean {
    return (
      this.#appliedTo !== BEGINNING &&
      index < this.#scope.batch.givenUpFrom &&
      this.#appliedTo === givenUpMark(this.#scope.batch.positionAt(index))
    );
  }

  /**
   * Folds the batch's event number `index`. Answers with a promise only where `handle` does.
   * @throws what the user's code throws; nothing is folded then.
   */
  fold(index: number): void | Promise<void> {
    if (index >= this.#scope.batch.givenUpFrom) return this.#take(index);
    if (!this.#upgraded) this.#upgrade();
    if (this.#dual) return this.#foldBoth(index);
    const next = this.#handle(this.#state, index);
    if (isPromise(next)) {
      // A promise of a library's own may answer at once, twice or not with a promise; one of the language does not.
      return Promise.resolve(next).then(
        (settled) => this.#keep(settled, index),
        (thrown) => Promise.reject(explainMutation(thrown, this.#scope.definition.name)),
      );
    }
    this.#keep(next, index);
  }

  /** Whether the item that the fold started from holds the event, of a record that is given up. */
  holds(index: number): boolean {
    const applied = this.base?.applied[this.#scope.split] ?? BEGINNING;
    const position = this.#scope.batch.positionAt(index);
    return applied >= position && applied !== givenUpMark(position);
  }

  /** Of the last folded event. */
  get lastPosition(): Position {
    return this.last === NONE ? BEGINNING : this.#scope.batch.positionAt(this.last);
  }

  /** A fold of the same key over `base`, with nothing folded yet. */
  over(base: StateItem | undefined): KeyFold {
    return new KeyFold(this.#scope, this.#keyIndex, base);
  }

  /**
   * Numbers of the key's events from the first folded one to number `last`, in order. Those up to {@link last} are folded
   * without exception: what was applied before comes before them, and a failure ends the fold. Looks through the batch,
   * since it is asked for only after a conflict or a failure: a list of them would be kept for every event.
   */
  *events(last: number = this.last): Generator<number> {
    const { batch } = this.#scope;
    for (let index = this.first === NONE ? last : this.first; index <= last; index++) {
      if (batch.keyIndexAt(index) === this.#keyIndex) yield index;
    }
  }

  /** The item to write, named `v`. */
  toItem(v: string): StateItem {
    const scope = this.#scope;
    const item: StateItem = {
      key: this.key,
      generation: scope.generation,
      v,
      epoch: this.#epoch,
      state: this.#upgraded ? this.#toImage(this.#state) : (this.base?.state ?? ABSENT),
      applied: scope.exactlyOnce ? { ...this.base?.applied, [scope.split]: this.#mark } : (this.base?.applied ?? {}),
    };
    const before = this.#beforeFold === undefined ? this.#before : this.#toImage(this.#beforeFold.value);
    return before === undefined ? item : { before, ...item };
  }

  get #mark(): Position {
    return this.last < this.#scope.batch.givenUpFrom ? this.lastPosition : givenUpMark(this.lastPosition);
  }

  #toImage(working: Working): Image {
    if (working === undefined) return ABSENT;
    return {
      value: checkState(this.#scope.definition.name, this.key, working, this.#scope.nameKey),
      version: this.#scope.stateVersion,
    };
  }

  /** Each image by its own version, once the first event needs it. */
  #upgrade(): void {
    const image = this.base?.state ?? ABSENT;
    this.#state = this.#toWorking(image);
    if (this.#dual) this.#beforeFold = { value: this.#toWorking(this.#before ?? ABSENT) };
    this.#upgraded = true;
  }

  #toWorking(image: Image): Working {
    return image === ABSENT ? undefined : freezeDeep(upgradeImage(this.#scope.definition, image));
  }

  #handle(state: Working, index: number): unknown {
    const { definition, batch } = this.#scope;
    const event = batch.eventAt(index);
    const context = batch.contextAt(index);
    try {
      return definition.handle(state === undefined ? freezeDeep(definition.state.initial()) : state, event, context);
    } catch (thrown) {
      throw explainMutation(thrown, definition.name);
    }
  }

  async #foldBoth(index: number): Promise<void> {
    const { definition } = this.#scope;
    const before = this.#beforeFold as { value: Working };
    try {
      const nextBefore = this.#accept(await this.#handle(before.value, index), before.value);
      const next = await this.#handle(this.#state, index);
      this.#keep(next, index);
      before.value = nextBefore;
    } catch (thrown) {
      throw explainMutation(thrown, definition.name);
    }
  }

  #keep(next: unknown, index: number): void {
    this.#state = this.#accept(next, this.#state);
    this.#take(index);
  }

  #take(index: number): void {
    if (this.first === NONE) this.first = index;
    this.last = index;
  }

  #accept(next: unknown, previous: Working): Working {
    const { definition, nameKey } = this.#scope;
    if (next === undefined) checkState(definition.name, this.key, next, nameKey);
    // Frozen at once: a fold that changes it in place and then throws must leave the events before it as they were.
    if (next === null) return undefined;
    const frozen = freezeNext(next, previous);
    // After each event, so that what is refused does not depend on where batches begin.
    if (definition.state.schema !== undefined) checkReturned(definition, this.key, frozen, nameKey);
    return frozen;
  }
}

function isPromise(value: unknown): value is Promise<unknown> {
  return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";
}
