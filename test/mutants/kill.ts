/**
 * Runs the simulator against one mutant: bundles it with the mutated sources, some 0.2 seconds, and starts the bundle in
 * a process of its own.
 */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join, relative } from "node:path";
import { build, type Plugin } from "esbuild";
import type { Mutant } from "./mutant.ts";
import { mutate } from "./mutate.ts";
import type { Verdict } from "./verdict.ts";

const root = join(import.meta.dirname, "../..");
/** Beneath node_modules, where packages are found as from the sources. */
const cache = join(root, "node_modules/.cache");

export interface KillOptions {
  readonly firstSeed: number;
  readonly histories: number;
  /** How long all of them may take; what is not killed by then survives. */
  readonly timeoutMs: number;
}

/** @throws Error when a text of the mutant is not where it should be, or the mutated code cannot be run at all. */
export async function kill(mutant: Mutant, options: KillOptions): Promise<Verdict> {
  const sources = mutate(mutant);
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, "mutant-"));
  try {
    const bundle = join(folder, "killer.mjs");
    await build({
      entryPoints: [join(import.meta.dirname, "killer.ts")],
      outfile: bundle,
      bundle: true,
      platform: "node",
      format: "esm",
      target: "node20",
      packages: "external",
      logLevel: "silent",
      plugins: [inPlaceOf(sources)],
    });
    return await run(bundle, mutant, options);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function inPlaceOf(sources: ReadonlyMap<string, string>): Plugin {
  return {
    name: "mutant",
    setup({ onLoad }) {
      onLoad({ filter: /\.ts$/ }, ({ path }) => {
        const contents = sources.get(relative(root, path).replaceAll("\\", "/"));
        return contents === undefined ? undefined : { contents, loader: "ts" };
      });
    },
  };
}

/** A history takes a millisecond, or some on a busy machine: one that says nothing for so long never ends. */
const HISTORY_MS_MAX = 60_000;

function run(bundle: string, mutant: Mutant, { firstSeed, histories, timeoutMs }: KillOptions): Promise<Verdict> {
  // With room for a history's objects to die young, as in `npm run simulate`.
  const args = ["--min-semi-space-size=16", bundle, mutant.world, String(firstSeed), String(histories)];
  const child = spawn(process.execPath, args, {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let out = "";
  let err = "";
  let ended: "hangs" | "no time left" | undefined;
  const end = (why: typeof ended): void => {
    ended = why;
    child.kill("SIGKILL");
  };
  const total = setTimeout(() => end("no time left"), timeoutMs);
  const silence = setTimeout(() => end("hangs"), HISTORY_MS_MAX);
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    silence.refresh();
    out = (out + text).slice(-100_000);
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    err = (err + text).slice(-4_000);
  });
  return new Promise<Verdict>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      const lines = out.trimEnd().split("\n");
      const last = lines.at(-1) ?? "";
      // Its lines are the seeds it has come to.
      const seed = Math.max(firstSeed, ...lines.slice(-2).map((line) => Number(line) || 0));
      const done = seed - firstSeed + 1;
      const promise = "nothing comes to its end: a history never gave the thread back";
      if (code === 0 && last.startsWith("{")) resolve(JSON.parse(last) as Verdict);
      else if (ended === "no time left") resolve({ killed: false, histories: done });
      else if (ended === "hangs") resolve({ killed: true, seed, histories: done, promise });
      else reject(new Error(`The simulator failed on mutant ${mutant.name} (exit ${code ?? signal}):\n${err}`));
    });
  }).finally(() => {
    clearTimeout(total);
    clearTimeout(silence);
  });
}
