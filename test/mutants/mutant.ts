/** A deliberate break of the production code, as data. */

/**
 * Who can tell. The simulator: at the ports, or under the adapters of DynamoDB and S3. A suite: where
 * its histories do not go (restores that are asked for or held, event source mappings), or get to in thousands at best.
 */
export type MutantWorld = "ports" | "adapters" | "suite";

export interface Edit {
  /** From the repository's root. */
  readonly file: string;
  /** Must stand in the file exactly once, or the run fails: code moves, and a mutant must not miss it. */
  readonly search: string;
  readonly replace: string;
}

export interface Mutant {
  readonly name: string;
  /** What it breaks, as a clause. */
  readonly breaks: string;
  /** The words of docs/protocol.md that it goes against, with their ◆ where they have one. */
  readonly rule: string;
  readonly world: MutantWorld;
  /** The test file, where the world is a suite. */
  readonly suite?: string;
  /** One, wherever one is enough. */
  readonly edits: readonly Edit[];
}

/** A break in one place. */
export const inFile = (file: string, search: string, replace: string): Edit => ({ file, search, replace });
