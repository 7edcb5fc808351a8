/** How StrykerJS runs `suites.ts`. */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/stryker/suites.ts"],
    // Each goes through every call of a history, or through megabytes: seconds for every mutant.
    testNamePattern:
      /^(?!.*(at any call|at every call|in bounded memory|so that it can be run again|by (4|16) workers, one of which dies))/,
    typecheck: { enabled: false },
    testTimeout: 60_000,
  },
});
