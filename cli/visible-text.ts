/**
 * Text as a terminal may show it: control characters (C0, DEL, C1, and so every escape sequence), those that turn the
 * direction of text or hide, and halves of surrogate pairs are written as `\u001b` is. Keys, splits, errors and what
 * manifests say come from outside, and a terminal obeys whoever writes to it.
 *
 * Within JSON, where such characters can only be in texts, it is the same JSON as before.
 */

/** Lines stay lines, and tabs tabs. */
const CONTROLS =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

const escaped = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;

export function visibleText(text: string): string {
  return text.replaceAll(CONTROLS, escaped);
}

/** The same on one line: a name or an error from outside must not look like a line of ours. */
export function visibleLine(text: string): string {
  return visibleText(text).replaceAll("\n", "\\n").replaceAll("\t", "\\t");
}

/** What was observed, with every text of it on one line. */
export function visibleMembers<Members extends object>(members: Members): Members {
  const visible = Object.entries(members).map(([name, value]: [string, unknown]) => [
    name,
    typeof value === "string" ? visibleLine(value) : value,
  ]);
  return Object.fromEntries(visible) as Members;
}
