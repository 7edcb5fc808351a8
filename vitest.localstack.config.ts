import { defineConfig } from "vitest/config";

/** What `npm run test:localstack` runs: one deployment after another, on an AWS that lives for one run. */
export default defineConfig({
  test: {
    include: ["test/localstack/**/*.test.ts"],
    globalSetup: "test/support/localstack-utils/global-setup.ts",
    fileParallelism: false,
    testTimeout: 900_000,
    hookTimeout: 900_000,
    // The steps of a file build on each other.
    bail: 1,
  },
});
