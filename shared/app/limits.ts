/**
 * The most that an app may ask for. Each bound is far above what helps anybody, and below what a machine, an item or a timer
 * cannot bear: a timer of more than 24 days goes off at once, and the numbers of the checkpoints that are kept are on one item.
 */
const DAY_MS = 24 * 60 * 60 * 1_000;

/** Between two checkpoints, in ms: 7 days. */
export const CHECKPOINT_INTERVAL_MS_MAX = 7 * DAY_MS;
/** For one checkpoint, in ms: 7 days. */
export const CHECKPOINT_TIMEOUT_MS_MAX = 7 * DAY_MS;
export const RETAINED_MAX = 1_000;
export const TRIES_MAX = 1_000;
export const CONSECUTIVE_DEAD_LETTERS_MAX = 1_000_000;
/** Records of a batch, and ms to wait for them, as Lambda has it. */
export const BATCH_RECORDS_MAX = 10_000;
export const BATCH_WINDOW_MS_MAX = 5 * 60_000;
/** For one invocation, in ms, as Lambda has it. */
export const INVOCATION_MS_MAX = 15 * 60_000;
/** A checkpoint's number has ten digits in its path. */
export const CHECKPOINT_NUMBER_MAX = 9_999_999_999;
/** Invocations of the snapshot function at a time. */
export const SNAPSHOT_WORKERS_MAX = 500;
