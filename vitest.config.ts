import { configDefaults, defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    // The AWS SDK says in each worker that it will need Node 22 some day.
    env: { AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true" },
    include: ["test/**/*.test.ts"],
    // These need a LocalStack: npm run test:localstack.
    exclude: [...configDefaults.exclude, "test/localstack/**"],
    // By itself, Vitest leaves one processor to others: half of a machine with two.
    maxWorkers: "100%",
    typecheck: { enabled: false },
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
