/**
 * Whether text has a UTF-8 form at all. A lone surrogate has none: every encoder writes U+FFFD in its place, so that
 * what is read back is not what was stored, and two different keys become one.
 */
export function isWellFormed(text: string): boolean {
  // Every Node from 20 has the method; TypeScript's ES2023 library does not know it. It takes no time for Latin-1 text.
  return (text as unknown as { isWellFormed(): boolean }).isWellFormed();
}
