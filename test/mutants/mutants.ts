/** Every mutant. Names are unique; the order is the protocol's. */
import { adapterMutants } from "./adapter-mutants.ts";
import { batchMutants } from "./batch-mutants.ts";
import { checkpointMutants } from "./checkpoint-mutants.ts";
import { deadLetterMutants } from "./dead-letter-mutants.ts";
import type { Mutant } from "./mutant.ts";
import { restoreMutants } from "./restore-mutants.ts";
import { suiteMutants } from "./suite-mutants.ts";

export const mutants: readonly Mutant[] = [
  ...batchMutants,
  ...deadLetterMutants,
  ...checkpointMutants,
  ...restoreMutants,
  ...suiteMutants,
  ...adapterMutants,
];
