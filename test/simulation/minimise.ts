/**
 * A broken history made as plain as it goes: choices are left out or made smaller as long as some promise is still
 * broken. 0 is always the plainest choice, so fewer and smaller numbers are fewer events, faults and turns.
 */
import { ListedChoices, play, type WorldOptions } from "./run-histories.ts";

export interface Minimised {
  readonly choices: readonly number[];
  readonly violation: string;
  /** Histories that were tried. */
  readonly tries: number;
}

const TRIES_MAX = 3_000;

export async function minimise(broken: readonly number[], world: WorldOptions = {}): Promise<Minimised> {
  const first = await attempt(broken, world);
  if (first === undefined) throw new Error("The history that is to be minimised breaks no promise.");
  let best = first;
  let tries = 1;
  const better = async (candidate: readonly number[]): Promise<boolean> => {
    if (tries >= TRIES_MAX) return false;
    tries += 1;
    const found = await attempt(candidate, world);
    if (found === undefined || !isPlainer(found.choices, best.choices)) return false;
    best = found;
    return true;
  };
  for (let improved = true; improved && tries < TRIES_MAX; ) {
    improved = false;
    for (let size = Math.ceil(best.choices.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
      for (let start = 0; start < best.choices.length; ) {
        const { choices } = best;
        const without = [...choices.slice(0, start), ...choices.slice(start + size)];
        const zeroed = choices.map((choice, index) => (index >= start && index < start + size ? 0 : choice));
        if (await better(without)) improved = true;
        else {
          if (choices.slice(start, start + size).some((choice) => choice > 0) && (await better(zeroed)))
            improved = true;
          start += size;
        }
      }
    }
    for (let index = 0; index < best.choices.length; index += 1) {
      const choice = best.choices[index] ?? 0;
      if (choice > 1 && (await better(best.choices.with(index, choice - 1)))) improved = true;
    }
  }
  return { ...best, tries };
}

/** What a list of choices comes to; undefined: no promise is broken. */
async function attempt(
  list: readonly number[],
  world: WorldOptions,
): Promise<{ readonly choices: readonly number[]; readonly violation: string } | undefined> {
  const choices = new ListedChoices(list);
  const { violation } = await play(choices, world);
  if (violation === undefined) return undefined;
  const { taken } = choices;
  // Past the end all is 0 anyway.
  const end = taken.findLastIndex((choice) => choice > 0);
  return { choices: taken.slice(0, end + 1), violation };
}

/** Shorter, or as long and smaller. */
function isPlainer(one: readonly number[], other: readonly number[]): boolean {
  if (one.length !== other.length) return one.length < other.length;
  const sum = (list: readonly number[]): number => list.reduce((total, choice) => total + choice, 0);
  return sum(one) < sum(other);
}
