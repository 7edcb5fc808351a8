/**
 * The event source mappings that feed the functions: the port by which a restore has them stand still and go on.
 *
 * They save work, never decide anything: a split that is REPLAYING refuses what a mapping delivers. An adapter may answer
 * with an old state.
 */
export interface MappingLook {
  /** Enabled, or about to be. */
  readonly on: boolean;
  /** On or off for good, not on its way. */
  readonly settled: boolean;
  /** What differs from what was deployed, in words, besides being off; none: nothing does. */
  readonly drift: readonly string[];
}

export interface EventSourceMappings {
  /** The functions that have one. */
  readonly functions: readonly string[];
  /** Undefined: it does not exist any more. */
  look(functionName: string): Promise<MappingLook | undefined>;
  /** Asks for it to be enabled or disabled, which takes its time. Asking for what is so already changes nothing. */
  turn(functionName: string, to: "on" | "off"): Promise<void>;
}
