/** `tidemark restore`: goes back to a checkpoint and has everything since then replayed. */
import { SingleBar } from "cli-progress";
import type { Command } from "commander";
import { openHomeApp } from "../local/open-home-app.ts";
import { type RestoreEnd, restoreHome, statusOfHome } from "../local/steer-home.ts";
import { CHECKPOINT_NUMBER_MAX } from "../shared/app/limits.ts";
import { TidemarkError } from "../shared/errors.ts";
import type { RestoreChoice } from "../shared/restore/restore.ts";
import type { RestoreStatus } from "../shared/restore/status.ts";
import { parseRestorePayload } from "../shared/runtime/restore-payload.ts";
import {
  type CommonOptions,
  conclude,
  type Ending,
  EXIT_FAILED,
  note,
  print,
  printJson,
  refuseEmpty,
  withCommonOptions,
} from "./command-line.ts";
import { type DeployedEnd, restoreDeployed, restoreFunction } from "./deployed-restore.ts";
import { countUpTo, formatDuration, parseTime } from "./duration.ts";

interface RestoreOptions extends CommonOptions {
  readonly checkpoint?: number;
  readonly before?: Date;
  readonly savepoint?: string;
  readonly dryRun?: boolean;
  readonly allowNonRestoredState?: boolean;
  readonly status?: boolean;
  readonly function?: string;
  readonly until?: Date;
  readonly goOn?: boolean;
}

const EXAMPLES = `
Examples:
  $ tidemark restore                       # the latest checkpoint of the live lineage
  $ tidemark restore --checkpoint 41
  $ tidemark restore --before 2026-01-31T12:00:00Z
  $ tidemark restore --savepoint before-upgrade --dry-run
  $ tidemark restore --function Flights-Restore --until 2026-01-31T12:00:00Z

With a live run on the home, that run replays, and this waits until it has. Without one, state is loaded and the next
run replays. A restore that was interrupted is carried on by whoever comes next: run the same command again.
Order is kept within a split; events of different splits that share a key may be folded in another order than before.
With --function the deployed app does all of it, and this waits; it goes on when this is interrupted.`;

export function addRestore(program: Command): void {
  const command = program
    .command("restore")
    .description("Restores a checkpoint and replays the sources from its positions.");
  withCommonOptions(command)
    .option(
      "--checkpoint <n>",
      "the checkpoint's number (default: the latest of the live lineage)",
      countUpTo(CHECKPOINT_NUMBER_MAX),
    )
    .option("--before <time>", "the latest that completed before this time (ISO 8601)", parseTime)
    .option("--savepoint <name>", "the savepoint of that name")
    .option("--dry-run", "check everything and change nothing")
    .option("--allow-non-restored-state", "leave the state of functions behind that the app no longer has")
    .option("--status", "say how far the last restore has come, and change nothing")
    .option("--function <name>", "ask the restore function of a deployed app (name or ARN) instead of a home")
    .option("--until <time>", "with --function: replay up to this time (ISO 8601) and stay there", parseTime)
    .option("--go-on", "with --function: let a restore go on that stays where --until said")
    .addHelpText("after", EXAMPLES)
    .action((options: RestoreOptions) => conclude(options, () => restore(options)));
}

async function restore(options: RestoreOptions): Promise<Ending> {
  refuseEmpty("--savepoint", options.savepoint, "a savepoint's name: `tidemark checkpoints` lists them");
  refuseEmpty("--function", options.function, "the name or ARN of the restore function");
  const choice = choiceOf(options);
  if (options.function !== undefined) return restoreByFunction(options, options.function, choice);
  if (options.until !== undefined || options.goOn === true) {
    throw new TidemarkError(
      "fix-configuration",
      "--until and --go-on are for a deployed app, whose mappings are off meanwhile: name its restore function with --function.",
    );
  }
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

async function restoreByFunction(options: RestoreOptions, name: string, choice: RestoreChoice): Promise<Ending> {
  if (options.home !== undefined) {
    throw new TidemarkError(
      "fix-configuration",
      "--function names a deployed app and --home a run of this machine; give one of them.",
    );
  }
  const { before, ...others } = choice;
  const payload = {
    ...others,
    ...(before === undefined ? {} : { before: before.toISOString() }),
    ...(options.until === undefined ? {} : { until: options.until.toISOString() }),
    ...(options.status === true ? { status: true } : {}),
    ...(options.goOn === true ? { goOn: true } : {}),
  };
  const ask = await restoreFunction(name);
  if (options.status === true) {
    parseRestorePayload(payload, Date.now());
    const status = (await ask(payload)) as RestoreStatus;
    if (options.json === true) printJson(status);
    else print(statusInWords(status));
    return { exitCode: 0 };
  }
  const progress = restoreProgress();
  let end: DeployedEnd;
  try {
    end = await restoreDeployed(ask, payload, progress.show);
  } finally {
    progress.stop();
  }
  if (options.json === true) printJson({ ...end.report, end: end.end, seconds: end.status?.seconds ?? 0 });
  else print(endInWords(end));
  return { exitCode: end.report.outcome === "superseded" ? EXIT_FAILED : 0 };
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

function endInWords({ report, status, end }: RestoreEnd | DeployedEnd): string {
  const checkpoint = `Checkpoint ${report.checkpoint}`;
  const seconds = formatDuration((status?.seconds ?? 0) * 1000);
  if (end === "held")
    return `${checkpoint} is restored (generation ${report.generation}), replayed to where it was to stay: ${seconds}. It stays, mappings off, until --go-on.`;
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
  const generation = status.generation === undefined ? "" : ` (generation ${status.generation})`;
  const head = `Restore of checkpoint ${status.checkpoint}${generation}: ${status.phase}, ${formatDuration((status.seconds ?? 0) * 1000)}.`;
  if (status.phase === "refused") return `${head} ${status.reason}`;
  if (status.phase === "checking") return `${head} ${status.partsChecked} of ${status.partsTotal} parts checked.`;
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
          status.phase === "checking"
            ? `Checking: ${status.partsChecked ?? 0} of ${status.partsTotal} parts.`
            : status.phase === "loading"
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
      const [what, value, of] =
        status.phase === "checking"
          ? ["checking parts", status.partsChecked ?? 0, status.partsTotal]
          : status.phase === "loading"
            ? ["loading parts", status.partsLoaded, status.partsTotal]
            : ["replaying splits", total - left, total];
      bar.setTotal(Math.max(1, of));
      bar.update(value, { what });
    },
    stop: () => bar.stop(),
  };
}
