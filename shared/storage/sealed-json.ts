/**
 * Small JSON objects that carry a checksum of themselves, so that a bit that flips in storage is never taken for what was written.
 *
 * The checksum is a member, `sha256`: of the object's other members as JSON without white space, in the order in which they
 * stand, in hexadecimal. So a copy that was only formatted anew still holds. A `mac` beside it (`signed-storage.ts`) is no
 * part of it. An object without a `sha256` is from before there were checksums, and is taken as it is.
 */
import { createHash } from "node:crypto";

/** The members that a seal adds. */
export interface Seal {
  readonly sha256?: string;
  readonly mac?: string;
}

/** The text of an object with its checksum in place of any seal that it had, readable to people. */
export function sealJson(object: object): string {
  const { members } = takeOffSeal<object>(object);
  return formatSealed({ ...members, sha256: checksumOf(members) });
}

/** The text of an object whose seal is part of it. */
export function formatSealed(object: object): string {
  return `${JSON.stringify(object, null, 1)}\n`;
}

/** An object apart from its seal. Says nothing yet of whether the seal holds. */
export function takeOffSeal<Members extends object>(sealed: Members & Seal): { members: Members; seal: Seal } {
  const { sha256, mac, ...members } = sealed;
  return { members: members as Members, seal: { sha256, mac } as Seal };
}

/** Whether an object is what was sealed; one without a checksum is. */
export function holdsSeal(sealed: object): boolean {
  const { members, seal } = takeOffSeal<object>(sealed);
  return seal.sha256 === undefined || seal.sha256 === checksumOf(members);
}

export function checksumOf(members: object): string {
  return createHash("sha256").update(JSON.stringify(members)).digest("hex");
}
