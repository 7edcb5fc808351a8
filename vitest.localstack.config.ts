import { defineConfig } from "vitest/config";

/** What `npm run test:localstack` runs: deployments that know nothing of each other, on an AWS that lives for one run. */
export default defineConfig({
  test: {
    // The AWS SDK says in each worker that it will need Node 22 some day.
    env: { AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true" },
    include: ["test/localstack/**/*.test.ts"],
    globalSetup: "test/support/localstack-utils/global-setup.ts",
    // Each waits for much; a third would only make the others slower.
    maxWorkers: 2,
    testTimeout: 900_000,
    hookTimeout: 900_000,
    // The steps of a file build on each other.
    bail: 1,
  },
});
