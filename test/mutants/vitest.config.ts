/** Runs a suite with the mutant that TIDEMARK_MUTANT names in place of the code as it is. */
import { join, relative } from "node:path";
import { defineConfig } from "vitest/config";
import { mutants } from "./mutants.ts";
import { mutate } from "./mutate.ts";

const root = join(import.meta.dirname, "../..");
const mutant = mutants.find(({ name }) => name === process.env.TIDEMARK_MUTANT);
if (mutant === undefined) throw new Error(`There is no mutant ${process.env.TIDEMARK_MUTANT}.`);
const sources = mutate(mutant);

export default defineConfig({
  root,
  plugins: [{ name: "mutant", load: (id) => sources.get(relative(root, id).replaceAll("\\", "/")) }],
  test: {
    include: ["test/protocol/**/*.test.ts", "test/unit/**/*.test.ts"],
    testTimeout: 60_000,
    typecheck: { enabled: false },
  },
});
