/** `tidemark restore`: goes back to a checkpoint and has everything since then replayed. */
import { SingleBar } from "cli-progress";
import type { Command } from "commander";
import { openHomeApp } from "../local/open-home-app.ts";
import { type RestoreEnd, restoreHome, statusOfHome } from "../local/steer-home.ts";
import { TidemarkError } from "../shared/errors.ts";
import type { RestoreChoice } from "../shared/restore/restore.ts";
import type { RestoreStatus } from "../shared/restore/status.ts";
import {
  type CommonOptions,
  conclude,
  type Ending,
  EXIT_FAILED,
  note,
  print,
  printJson,
  withCommonOptions,
} from "./command-line.ts";
import { formatDuration, parseCount, parseTime } from "./duration.ts";

interface RestoreOptions extends CommonOptions {
  readonly checkpoint?: number;
  readonly before?: Date;
  readonly savepoint?: string;
  readonly dryRun?: boolean;
  readonly allowNonRestoredState?: boolean;
  readonly status?: boolean;
}

const EXAMPLES = `
Examples:
  $ tidemark restore                       # the latest checkpoint of the live lineage
  $ tidemark restore --checkpoint 41
  $ tidemark restore --before 2026-01-31T12:00:00Z
  $ tidemark restore --savepoint before-upgrade --dry-run

With a live run on the home, that run replays, and this waits until it has. Without one, state is loaded and the next
run replays. A restore that was interrupted is carried on by whoever comes next: run the same command again.`;

export function addRestore(program: Command): void {
  const command = program
    .command("restore")
    .description("Restores a checkpoint and replays the sources from its positions.");
  withCommonOptions(command)
    .option("--checkpoint <n>", "the checkpoint's number (default: the latest of the live lineage)", parseCount)
    .option("--before <time>", "the latest that completed before this time (ISO 8601)", parseTime)
    .option("--savepoint <name>", "the savepoint of that name")
    .option("--dry-run", "check everything and change nothing")
    .option("--allow-non-restored-state", "leave the state of functions behind that the app no longer has")
    .option("--status", "say how far the last restore has come, and change nothing")
    .addHelpText("after", EXAMPLES)
    .action((options: RestoreOptions) => conclude(options, () => restore(options)));
}

async function restore(options: RestoreOptions): Promise<Ending> {
  const choice = choiceOf(options);
  const app = openHomeApp(options.home);
  try {
    if (options.status === true) {
      const status = await statusOfHome(app);
      if (options.json === true) printJson(status);
      else print(statusInWords(status));
      return { exitCode: 0 };
    }
    const progress = restoreProgress();
    let end: RestoreEnd;
    try {
      end = await restoreHome(app, choice, progress.show);
    } finally {
      progress.stop();
    }
    if (options.json === true) printJson({ ...end.report, end: end.end, seconds: end.status.seconds ?? 0 });
    else print(endInWords(end));
    return { exitCode: end.report.outcome === "superseded" ? EXIT_FAILED : 0 };
  } finally {
    await app.close();
  }
}

function choiceOf(options: RestoreOptions): RestoreChoice {
  const { checkpoint, before, savepoint } = options;
  if ([checkpoint, before, savepoint].filter((given) => given !== undefined).length > 1) {
    throw new TidemarkError(
      "fix-configuration",
      "--checkpoint, --before and --savepoint each name a checkpoint; give one of them, or none for the latest.",
    );
  }
  return {
    ...(checkpoint === undefined ? {} : { checkpoint }),
    ...(before === undefined ? {} : { before }),
    ...(savepoint === undefined ? {} : { savepoint }),
    ...(options.dryRun === true ? { dryRun: true } : {}),
    ...(options.allowNonRestoredState === true ? { allowNonRestoredState: true } : {}),
  };
}

function endInWords({ report, status, end }: RestoreEnd): string {
  const checkpoint = `Checkpoint ${report.checkpoint}`;
  const seconds = formatDuration((status.seconds ?? 0) * 1000);
  if (end === "finished")
    return `${checkpoint} is restored (generation ${report.generation}), and everything since is replayed: ${seconds}.`;
  if (end === "loaded")
    return `${checkpoint} is loaded (generation ${report.generation}): ${seconds}. The next run replays what came after it.`;
  if (report.outcome === "would-restore") {
    const left = report.leftBehind?.length ? ` Left behind: ${report.leftBehind.join(", ")}.` : "";
    const empty = report.startEmpty?.length ? ` Starting empty: ${report.startEmpty.join(", ")}.` : "";
    return `${checkpoint} can be restored: ${report.keys} keys in ${report.files} files, ${report.bytes} bytes.${left}${empty} Nothing was changed.`;
  }
  return `The restore of ${checkpoint.toLowerCase()} is ${report.outcome}.`;
}

function statusInWords(status: RestoreStatus): string {
  if (status.phase === "none") return "Nothing was ever restored here.";
  const { left, total } = replayed(status);
  const head = `Restore of checkpoint ${status.checkpoint} (generation ${status.generation}): ${status.phase}, ${formatDuration((status.seconds ?? 0) * 1000)}.`;
  if (status.phase === "loading") return `${head} ${status.partsLoaded} of ${status.partsTotal} parts loaded.`;
  if (status.phase === "replaying") return `${head} ${total - left} of ${total} splits replayed.`;
  return head;
}

function replayed({ splits }: RestoreStatus): { readonly left: number; readonly total: number } {
  return { left: splits.filter(({ phase }) => phase !== "RUNNING").length, total: splits.length };
}

function restoreProgress(): { show(status: RestoreStatus): void; stop(): void } {
  if (process.stderr.isTTY !== true) {
    let last = "";
    return {
      show(status) {
        const { left, total } = replayed(status);
        const line =
          status.phase === "loading"
            ? `Loading: ${status.partsLoaded} of ${status.partsTotal} parts.`
            : `Replaying: ${total - left} of ${total} splits done.`;
        if (line !== last) note(line);
        last = line;
      },
      stop() {},
    };
  }
  const bar = new SingleBar({
    format: "{what} {bar} {value}/{total}",
    stream: process.stderr,
    hideCursor: true,
    clearOnComplete: true,
    stopOnComplete: false,
  });
  bar.start(1, 0, { what: "restoring" });
  return {
    show(status) {
      const { left, total } = replayed(status);
      const loading = status.phase === "loading";
      bar.setTotal(Math.max(1, loading ? status.partsTotal : total));
      bar.update(loading ? status.partsLoaded : total - left, { what: loading ? "loading parts" : "replaying splits" });
    },
    stop: () => bar.stop(),
  };
}
