/**
 * What other processes do beside the run, by the shipped commands, one after the other: savepoints and restores, second
 * coordinators and restorers that are killed half-way, and restores of a checkpoint of which one bit was flipped.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { defectIn, type Ended, startCommand } from "./command.ts";
import type { CommandKind, Step } from "./plan.ts";
import { flipBit, newestLive, readShelf, type Standing } from "./shelf.ts";
import type { World } from "./world.ts";

type Beside = Extract<Step, { readonly kind: CommandKind }>;

const TRIES_MAX = 6;
const TRY_AGAIN_MS = 700;
/** A command that waits for a run that is away, or for splits that are far behind, may take long. */
const COMMAND_MS_MAX = 180_000;

/** @returns whether it was done; false: there was nothing to do it with, or faults kept it from being done */
export async function actBeside(world: World, step: Beside): Promise<boolean> {
  switch (step.kind) {
    case "savepoint":
      return takeSavepoint(world, step);
    case "kill-checkpoint":
      return killHalfWay(world, step, ["checkpoint"]);
    case "kill-restore": {
      const target = anyOf(readShelf(world.storage).standing, step.choice);
      return target !== undefined && killHalfWay(world, step, ["restore", "--checkpoint", String(target.checkpoint)]);
    }
    case "restore-latest":
      return restore(world, step, () => []);
    case "restore-older":
      return restore(world, step, () => {
        const target = anyOf(readShelf(world.storage).standing, step.choice);
        return target && ["--checkpoint", String(target.checkpoint)];
      });
    case "restore-savepoint":
      return restore(world, step, () => {
        const named = readShelf(world.storage).standing.flatMap(({ savepoint }) => savepoint ?? []);
        const name = anyOf([...new Set(named)], step.choice);
        return name === undefined ? undefined : ["--savepoint", name];
      });
    case "flip-bit":
      return flip(world, step);
  }
}

let savepoints = 0;

async function takeSavepoint(world: World, { kind }: Beside): Promise<boolean> {
  for (let tries = 0; tries < TRIES_MAX && !world.signal.aborted; tries++) {
    savepoints += 1;
    if ((await tidemark(world, ["checkpoint", "--savepoint", `s${savepoints}`])).code === 0) {
      world.tally.happened(kind);
      return true;
    }
    await sleep(TRY_AGAIN_MS);
  }
  return false;
}

async function killHalfWay(world: World, { kind, afterMs }: Beside, args: readonly string[]): Promise<boolean> {
  const { child, ended } = startCommand([...args, "--home", world.home], world);
  const early = await Promise.race([ended, sleep(afterMs)]);
  if (early !== undefined) {
    judgeEnd(world, args, early);
    return false;
  }
  const amid = await world.watch.amid();
  child.kill("SIGKILL");
  if ((await ended).code !== null) return false;
  world.tally.happened(kind, amid);
  return true;
}

/** @param choose chosen anew at each try: retention may have come first; undefined: there is none */
async function restore(world: World, { kind }: Beside, choose: () => readonly string[] | undefined): Promise<boolean> {
  const amid = await world.watch.amid();
  for (let tries = 0; tries < TRIES_MAX && !world.signal.aborted; tries++) {
    const choice = choose();
    if (choice === undefined) return false;
    const ended = await tidemark(world, ["restore", ...choice]);
    if (ended.code === 0) {
      world.tally.happened(kind, amid);
      return true;
    }
    const refused = refusedCheckpoint(ended);
    if (refused !== undefined && readShelf(world.storage).standing.some(({ checkpoint }) => checkpoint === refused)) {
      world.differs(`Checkpoint ${refused} is whole, and its restore was refused: ${lastLine(ended)}`);
      return false;
    }
    await sleep(TRY_AGAIN_MS);
  }
  return false;
}

/** The newest checkpoint is damaged: its restore must be refused by name, and go on with what it names instead. */
async function flip(world: World, step: Beside): Promise<boolean> {
  const { storage, watch } = world;
  // A restore under way might be just reading what is about to be damaged.
  for (let waitedMs = 0; (await watch.look())?.settled !== true; waitedMs += TRY_AGAIN_MS) {
    if (waitedMs >= COMMAND_MS_MAX) return false;
    await sleep(TRY_AGAIN_MS);
  }
  const target = newest(world);
  const part = anyOf(target?.files ?? [], step.choice)?.name;
  if (target === undefined || part === undefined) return false;
  if (!flipBit(storage, target.checkpoint, part, step.place)) return false;
  let refusal: Refusal | undefined;
  try {
    refusal = await refusalOf(world, target, part);
  } finally {
    flipBit(storage, target.checkpoint, part, step.place);
  }
  if (refusal === undefined) return false;
  world.tally.happened(step.kind);
  const { instead } = refusal;
  world.say(`flip-bit: ${part} of checkpoint ${target.checkpoint} was refused; instead: ${instead ?? "none"}`);
  // That it can be restored, unless retention comes first, is judged there.
  if (instead !== undefined) {
    await restore(world, { ...step, kind: "restore-older" }, () => ["--checkpoint", String(instead)]);
  }
  return true;
}

interface Refusal {
  /** The checkpoint that it names as the newest that would do. */
  readonly instead: number | undefined;
}

/** @returns undefined when faults or retention came first */
async function refusalOf(world: World, target: Standing, part: string): Promise<Refusal | undefined> {
  for (let tries = 0; tries < TRIES_MAX && !world.signal.aborted; tries++) {
    const before = newest(world, target.checkpoint);
    const ended = await tidemark(world, ["restore", "--checkpoint", String(target.checkpoint)]);
    if (!stands(world, target)) return undefined;
    if (ended.code === 0) {
      world.differs(`Checkpoint ${target.checkpoint} was restored though a bit of ${part} is flipped.`);
      return undefined;
    }
    if (refusedCheckpoint(ended) !== undefined) {
      const after = newest(world, target.checkpoint);
      const named = /The newest older checkpoint that would do is (\d+)\./.exec(ended.stderr)?.[1];
      const instead = named === undefined ? undefined : Number(named);
      if (!ended.stderr.includes(part)) {
        world.differs(`The refusal does not name the damaged ${part}: ${lastLine(ended)}`);
      }
      if (![before?.checkpoint, after?.checkpoint].includes(instead)) {
        world.differs(`The newest that would do is ${after?.checkpoint ?? "none"}, and not: ${lastLine(ended)}`);
      }
      return { instead };
    }
    await sleep(TRY_AGAIN_MS);
  }
  return undefined;
}

function newest({ storage, watch }: World, before?: number): Standing | undefined {
  const control = watch.last?.control;
  return control === undefined ? undefined : newestLive(storage, readShelf(storage), control, before);
}

function stands({ storage }: World, { checkpoint }: Standing): boolean {
  return readShelf(storage).standing.some((one) => one.checkpoint === checkpoint);
}

/** Runs a command to its end, and notes what no fault excuses. */
async function tidemark(world: World, args: readonly string[]): Promise<Ended> {
  const { ended } = startCommand([...args, "--home", world.home], {
    env: world.env,
    signal: world.signal,
    killAfterMs: COMMAND_MS_MAX,
  });
  const end = await ended;
  judgeEnd(world, args, end);
  return end;
}

function judgeEnd(world: World, args: readonly string[], ended: Ended): void {
  if (ended.code !== 0) world.say(`tidemark ${args.join(" ")}: ${ended.code ?? "killed"}: ${lastLine(ended)}`);
  const defect = defectIn(ended);
  if (defect !== undefined) world.differs(`tidemark ${args.join(" ")} failed: ${defect}`);
}

/** The checkpoint of which a restore says that it lacks something. */
function refusedCheckpoint({ stderr }: Ended): number | undefined {
  const number = /Checkpoint (\d+) cannot be restored, and nothing was changed/.exec(stderr)?.[1];
  return number === undefined ? undefined : Number(number);
}

const lastLine = ({ stderr }: Ended): string => stderr.trim().split("\n").at(-1) ?? "";

const anyOf = <One>(list: readonly One[], choice: number): One | undefined => list[Math.floor(choice * list.length)];
