/**
 * Whose a place is: a control table, a place in checkpoint storage, a state table. Two apps on one of them would take each
 * other's splits, checkpoints and states for their own.
 *
 * Invariants:
 * - A claim is created where there is none, and replaced only by somebody who names the one that stands there.
 * - The control table's is created first, and after control itself: whoever finds it finds control.
 */
import type { Randomness } from "../environment.ts";
import { TidemarkError } from "../errors.ts";

export interface Claim {
  /** The app's name. */
  readonly app: string;
  /** One for the life of a control table: it tells two deployments of an app apart. */
  readonly id: string;
  /** Of a control table: where its checkpoints are kept. */
  readonly url?: string;
  /** Of a state table: the function whose states it holds. */
  readonly function?: string;
}

/** Where a claim stands: made by an adapter for what it keeps. */
export interface ClaimPlace {
  /** For messages: `the control table shop-control`. */
  readonly name: string;
  read(): Promise<Claim | undefined>;
  /** Creates the claim where there is none; what stands there is read afterwards. */
  create(claim: Claim): Promise<void>;
  /** Replaces the claim that was read; one that has changed since stays. */
  replace(read: Claim, claim: Claim): Promise<void>;
}

/** What an app claims. */
export interface Claimant {
  readonly app: string;
  readonly url: string;
  readonly control: ClaimPlace;
  readonly storage: ClaimPlace;
  /** By the name of the function: as many as whoever claims, or checks, may reach. */
  readonly states: { readonly [functionName: string]: ClaimPlace };
}

/** What claiming takes besides. */
export interface Claiming {
  readonly randomness: Randomness;
  /** Makes control, where it is missing, before there is a claim on its table. */
  readonly prepare: () => Promise<unknown>;
}

/** What a place should say, and what it says. */
interface Look {
  readonly place: ClaimPlace;
  readonly found: Claim | undefined;
  readonly wanted: Omit<Claim, "id">;
}

interface Looks {
  readonly control: Look;
  readonly others: readonly Look[];
  /** Says of the control table what it should, or nothing is said of it. */
  readonly id: string | undefined;
}

/** Control's is read last: whoever claims writes it first, so that no claim of ours is taken for another's. */
async function lookAt({ app, url, control, storage, states }: Claimant): Promise<Looks> {
  const others = await Promise.all(
    [
      { place: storage, wanted: { app } },
      ...Object.entries(states).map(([name, place]) => ({ place, wanted: { app, function: name } })),
    ].map(async (one): Promise<Look> => ({ ...one, found: await one.place.read() })),
  );
  const ofControl = { place: control, wanted: { app, url }, found: await control.read() };
  return { control: ofControl, others, id: says(ofControl) ? ofControl.found?.id : undefined };
}

function says({ found, wanted }: Look): boolean {
  return found?.app === wanted.app && found.url === wanted.url && found.function === wanted.function;
}

function foreignOf({ control, others, id }: Looks): readonly (Look & { readonly found: Claim })[] {
  const isForeign = (look: Look): look is Look & { readonly found: Claim } =>
    look.found !== undefined && !(says(look) && look.found.id === id);
  return [control, ...others].filter(isForeign);
}

/**
 * Holds the claims against what this app would claim. Cost: a read for each place.
 * @returns whether all is claimed: what is nobody's yet may be worked on, and has to be looked at again
 * @throws TidemarkError `fix-configuration` when one is another's
 */
export async function checkClaims(claimant: Claimant): Promise<boolean> {
  const looks = await lookAt(claimant);
  const foreign = foreignOf(looks);
  if (foreign.length > 0) throw refusal(claimant, foreign);
  return [looks.control, ...looks.others].every(({ found }) => found !== undefined);
}

/** What failed before the coordinator's first run: what a function is denied to do itself, that run does. */
export function failedUnclaimed({ app, control }: Claimant, thrown: unknown): unknown {
  if (!(thrown instanceof TidemarkError) || !isDenial(thrown.cause)) return thrown;
  return new TidemarkError(
    "retry",
    `The coordinator of the app ${app} has not run yet, which makes ${control.name} ready and claims it; it does within a minute of the deployment. If this goes on, look into the coordinator's log. What failed meanwhile: ${thrown.message}`,
    { cause: thrown },
  );
}

const isDenial = (cause: unknown): boolean => cause instanceof Error && cause.name.startsWith("AccessDenied");

/**
 * Claims what nobody has claimed, after all of it was looked at. A repeat changes nothing; a crash leaves some of the
 * claims, and the next call makes the rest. Cost: a read for each place; once, a write for each and another read.
 * @throws TidemarkError `fix-configuration` when one is another's; then nothing was changed
 */
export async function claimAll(claimant: Claimant, { randomness, prepare }: Claiming): Promise<void> {
  let looks = await lookAt(claimant);
  const refuseForeign = (): void => {
    const foreign = foreignOf(looks);
    if (foreign.length > 0) throw refusal(claimant, foreign);
  };
  refuseForeign();
  if ([looks.control, ...looks.others].every(({ found }) => found !== undefined)) return;
  await prepare();
  const create = async (look: Look, id: string): Promise<void> => {
    if (look.found === undefined) await look.place.create({ ...look.wanted, id });
  };
  if (looks.id === undefined) {
    await create(looks.control, randomness.token());
    looks = await lookAt(claimant);
    refuseForeign();
  }
  const { id, others } = looks;
  if (id !== undefined) await Promise.all(others.map((look) => create(look, id)));
  // Somebody else's may have come first.
  looks = await lookAt(claimant);
  refuseForeign();
}

/**
 * Replaces the claims of one life of an app, which is over, by this app's. A crash leaves some of them: a repeat replaces
 * the rest. Cost: a read and at most a write for each place.
 * @param id of the claims to be replaced, as the refusal of them names it
 * @returns the places whose claims were replaced
 * @throws TidemarkError `fix-configuration` when claims are another's and none of them has this id, or the control table's
 *   has another one; then nothing was changed
 */
export async function takeOver(claimant: Claimant, id: string, { randomness, prepare }: Claiming): Promise<string[]> {
  let looks = await lookAt(claimant);
  const meantOf = (all: Looks) => foreignOf(all).filter(({ found }) => found.id === id);
  const meant = meantOf(looks);
  if (meant.length === 0) {
    const foreign = foreignOf(looks);
    if (foreign.length > 0) throw refusal(claimant, foreign);
    return [];
  }
  const { control } = looks;
  // Control's first, as when it is created: what is left over after a crash is found to be foreign.
  if (control.found === undefined) {
    await prepare();
    await control.place.create({ ...control.wanted, id: randomness.token() });
  } else if (meant.includes(control as (typeof meant)[number])) {
    await control.place.replace(control.found, { ...control.wanted, id: randomness.token() });
  }
  looks = await lookAt(claimant);
  const { id: ours } = looks;
  if (ours === undefined) throw refusal(claimant, foreignOf(looks));
  for (const { place, found, wanted } of meantOf(looks)) await place.replace(found, { ...wanted, id: ours });
  return meant.map(({ place }) => place.name);
}

function refusal({ app, url }: Claimant, foreign: readonly (Look & { readonly found: Claim })[]): TidemarkError {
  const ids = [...new Set(foreign.map(({ found }) => found.id))];
  const whose = foreign.map(({ place, found }) => {
    const parts = [
      `the app ${found.app}`,
      ...(found.function === undefined ? [] : [`function ${found.function}`]),
      ...(found.url === undefined ? [] : [`checkpoints in ${found.url}`]),
    ];
    return `${place.name} is claimed by ${parts.join(", ")} (claim ${found.id})`;
  });
  const payloads = ids.map((id) => JSON.stringify({ takeOver: id })).join(" and ");
  return new TidemarkError(
    "fix-configuration",
    `This deployment is of the app ${app} with checkpoints in ${url}, but ${whose.join("; ")}. Nothing was changed. Two apps, or two deployments of one, cannot share a table or a place in a bucket: give this one its own (existing, checkpoints.prefix). If the other is gone and this one goes on in its place (it was renamed, moved, or lost its tables), invoke the coordinator with ${payloads}.`,
  );
}
