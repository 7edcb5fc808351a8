import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import path from "node:path";
import { TidemarkError } from "../../shared/errors.ts";

/**
 * CDK bundles with the esbuild of the project, else one on the path, else in Docker, where "docker: not found" would be
 * all that is said of it.
 * @throws TidemarkError `fix-configuration` when there is none
 */
export function checkEsbuild(projectRoot = process.cwd()): void {
  const require = createRequire(path.join(projectRoot, "package.json"));
  try {
    require.resolve("esbuild");
    return;
  } catch {
    // Looked for on the path below.
  }
  if (spawnSync("esbuild", ["--version"]).status === 0) return;
  throw new TidemarkError(
    "fix-configuration",
    `Tidemark's functions are bundled by esbuild, which is not installed in ${projectRoot}. Run: npm install --save-dev esbuild. To bundle in Docker instead, set lambda: { bundling: { forceDockerBundling: true } } for every function.`,
  );
}
