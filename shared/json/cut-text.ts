/** Text that came from outside, made fit for a message, an item or a log. */

/** Room for the note that says how much was left out. */
const NOTE_BYTES_MAX = 40;

/**
 * Text of at most `bytesMax` bytes of UTF-8: itself where it fits, else its beginning and a note of how long it was.
 * Lone surrogates, which UTF-8 cannot hold, become U+FFFD. Costs no more for longer text.
 * @param bytesMax - at least 64
 */
export function cutText(text: string, bytesMax: number): string {
  // No UTF-16 unit takes less than a byte or more than three.
  const begin = text.length > bytesMax ? text.slice(0, bytesMax) : text;
  const bytes = Buffer.from(begin);
  if (begin === text && bytes.length <= bytesMax) return bytes.toString();
  let end = Math.min(bytes.length, bytesMax - NOTE_BYTES_MAX);
  // Not within a character: its further bytes all begin with the bits 10.
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return `${bytes.toString("utf8", 0, end)}… (cut, of ${text.length} characters)`;
}
