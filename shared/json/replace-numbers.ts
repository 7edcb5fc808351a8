/**
 * Puts others in the place of the numbers of a JSON text that is known to be one. What stands in strings and in the names
 * of members is passed over. Takes time in proportion to the text, whatever it holds.
 */
export function replaceNumbers(json: string, replace: (literal: string) => string): string {
  let replaced = "";
  let copied = 0;
  for (let at = 0; at < json.length; ) {
    const quote = json.indexOf('"', at);
    const end = quote === -1 ? json.length : quote;
    // Between most strings there is no more than a colon or a comma.
    if (end - at > 2) {
      const between = json.slice(at, end);
      NUMBER.lastIndex = 0;
      for (let found = NUMBER.exec(between); found !== null; found = NUMBER.exec(between)) {
        const [literal] = found;
        const other = replace(literal);
        if (other === literal) continue;
        replaced += json.slice(copied, at + found.index) + other;
        copied = at + found.index + literal.length;
      }
    }
    at = quote === -1 ? end : endOfString(json, quote);
  }
  return copied === 0 ? json : replaced + json.slice(copied);
}

/** Outside of strings, digits are numbers' alone. */
const NUMBER = /-?\d[\d.eE+-]*/g;

/** Where the string that begins at `quote` has ended. */
function endOfString(json: string, quote: number): number {
  for (let at = json.indexOf('"', quote + 1); at !== -1; at = json.indexOf('"', at + 1)) {
    let escapes = 0;
    while (json.charCodeAt(at - 1 - escapes) === 92 /* \ */) escapes++;
    if (escapes % 2 === 0) return at + 1;
  }
  return json.length;
}
