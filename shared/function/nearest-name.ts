const GIVEN_UNITS_MAX = 200;

/** The allowed name that a misspelt one was probably meant to be, or undefined where none is near. */
export function nearestName(given: string, allowed: Iterable<string>): string | undefined {
  // What is so long was meant to be none of them, and comparing takes its length times theirs.
  if (given.length > GIVEN_UNITS_MAX) return undefined;
  let nearest: string | undefined;
  let nearestDistance = Number.POSITIVE_INFINITY;
  for (const name of allowed) {
    const distance = editDistance(given.toLowerCase(), name.toLowerCase());
    if (distance < nearestDistance && distance <= Math.max(1, name.length * 0.4)) {
      nearest = name;
      nearestDistance = distance;
    }
  }
  return nearest;
}

/** Levenshtein's distance: how many letters to add, drop or replace. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next[j] = Math.min(replaced, (row[j] as number) + 1, (next[j - 1] as number) + 1);
    }
    row = next;
  }
  return row[b.length] as number;
}
