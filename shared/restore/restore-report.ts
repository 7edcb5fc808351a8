/** What a call of a restore did, as data: the CLI prints it, Lambda returns it. */

export type RestoreOutcome =
  /** A dry run: the checkpoint can be restored; nothing was changed. */
  | "would-restore"
  /** Control records the restore; {@link carryOnRestore} does it. */
  | "started"
  /** A restore of this checkpoint is under way already; nothing was changed. */
  | "under-way"
  /** The deadline came first; the next call goes on from there. */
  | "unfinished"
  /** The restored generation runs. */
  | "finished"
  /** A later restore took this one's place. */
  | "superseded"
  /** Asked for: {@link carryOnRequest} checks the checkpoint and records the restore, or refuses it. */
  | "requested"
  /** The check that was asked for refused it; nothing was changed. */
  | "refused"
  /** Replayed to where it was to be held; it stays there until it is told to go on. */
  | "held"
  /** It was told to go on. */
  | "going-on"
  /** No restore is under way. */
  | "nothing-to-do";

export interface RestoreReport {
  readonly outcome: RestoreOutcome;
  /** The restore's token. */
  readonly id?: string;
  readonly checkpoint?: number;
  /** The generation that the restore fills; in a dry run, that it would fill. */
  readonly generation?: number;
  /** Function of the app -> function of the checkpoint whose state it takes over. */
  readonly functions?: { readonly [name: string]: string };
  /** Functions of which the checkpoint knows nothing: they start from their sources' beginning. */
  readonly startEmpty?: readonly string[];
  /** Functions of the checkpoint whose state is left behind. */
  readonly leftBehind?: readonly string[];
  /** Splits of the cut. */
  readonly splits?: number;
  readonly files?: number;
  readonly keys?: number;
  /** As stored: compressed. */
  readonly bytes?: number;
  /** The checkpoint that was open and is so no more. */
  readonly interrupted?: number;
}
