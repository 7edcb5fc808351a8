import type { LeftOut } from "../shared/source/source.ts";

/** Of more files the rest is counted: a folder may hold a hundred thousand that are none of ours. */
const NAMED_MAX = 20;

/** The files with their reasons, in one clause. */
export function describeLeftOut({ files, total }: LeftOut): string {
  const named = files.slice(0, NAMED_MAX).map(({ name, reason }) => `${JSON.stringify(name)} (${reason})`);
  const more = total > named.length ? ` and ${(total - named.length).toLocaleString("en")} more` : "";
  return `${named.join(", ")}${more}`;
}
