/** Faults that strike processes and disks: each at its moment, whatever else goes on. */
import { setTimeout as sleep } from "node:timers/promises";
import { identityOf, isRunning } from "../../local/process-identity.ts";
import { signal } from "./command.ts";
import type { Step, StrikeKind } from "./plan.ts";
import type { World } from "./world.ts";

type Strike = Extract<Step, { readonly kind: StrikeKind }>;

/** So long a zombie sleeps beyond the others' pauses: until another run has its splits. */
const ZOMBIE_MS = 2_000;
/** So long a worker may live that has lost its supervisor. */
const ORPHAN_MS = 10_000;
/** A full disk that nobody has noticed after so long is freed. */
const FULL_MS_MAX = 25_000;

/** @returns whether it struck; false: there was nothing to strike just then */
export async function strike(world: World, step: Strike): Promise<boolean> {
  switch (step.kind) {
    case "kill-worker": {
      const amid = await world.watch.amid();
      const pid = await workerOf(world, step);
      if (pid === undefined || !signal(pid, "SIGKILL")) return false;
      world.tally.happened(step.kind, amid);
      return true;
    }
    case "kill-run": {
      const amid = await world.watch.amid();
      if (!world.run.kill(step.lastsMs)) return false;
      world.tally.happened(step.kind, amid);
      return true;
    }
    case "freeze-run":
      return freezeRun(world, step);
    case "zombie-worker":
      return wakeZombie(world, step);
    case "kill-dynamodb":
      if (world.service.kill === undefined) return false;
      world.tally.happened(step.kind, await world.watch.amid());
      await world.service.kill(step.lastsMs);
      return true;
    case "disk-full":
      return fillDisk(world, step);
  }
}

async function workerOf({ run }: World, { choice }: Strike): Promise<number | undefined> {
  const workers = await run.workers();
  return workers[Math.floor(choice * workers.length)];
}

/** The coordinator and the pump stand still, others go on, and then it wakes up in the middle of what it was doing. */
async function freezeRun({ run, tally, watch }: World, { kind, lastsMs }: Strike): Promise<boolean> {
  const amid = await watch.amid();
  const { pid } = run;
  if (pid === undefined || !signal(pid, "SIGSTOP")) return false;
  tally.happened(kind, amid);
  await sleep(lastsMs);
  signal(pid, "SIGCONT");
  return true;
}

/** A worker stands still in whatever it does, its run dies and another takes its splits; then the worker wakes up. */
async function wakeZombie(world: World, step: Strike): Promise<boolean> {
  const amid = await world.watch.amid();
  const pid = await workerOf(world, step);
  if (pid === undefined || !signal(pid, "SIGSTOP")) return false;
  const worker = identityOf(pid);
  if (!world.run.kill(0)) {
    signal(pid, "SIGCONT");
    return false;
  }
  world.tally.happened(step.kind, amid);
  await sleep(ZOMBIE_MS + step.lastsMs);
  if (isRunning(worker)) signal(pid, "SIGCONT");
  for (let waitedMs = 0; isRunning(worker); waitedMs += 100) {
    if (waitedMs >= ORPHAN_MS) {
      signal(pid, "SIGKILL");
      world.differs(`A worker (pid ${pid}) did not end in ${ORPHAN_MS / 1000} s though its run is dead.`);
      break;
    }
    await sleep(100);
  }
  return true;
}

/** It lasts until somebody was told so. */
async function fillDisk(world: World, { kind, lastsMs, bytesFree }: Strike): Promise<boolean> {
  if (world.disk === undefined) return false;
  const amid = await world.watch.amid();
  const heard = world.diskFullHeard();
  world.disk.fill(bytesFree);
  try {
    for (let waitedMs = 0; waitedMs < FULL_MS_MAX; waitedMs += 100) {
      if (waitedMs >= lastsMs && world.diskFullHeard() > heard) break;
      await sleep(100);
    }
  } finally {
    world.disk.free();
  }
  if (world.diskFullHeard() === heard) return false;
  world.tally.happened(kind, amid);
  return true;
}
