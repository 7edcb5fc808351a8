/** The order of strings by their UTF-8 bytes, as DynamoDB has it. Less than 0: `one` comes first; 0: they are equal. */
export function compareUtf8(one: string, other: string): number {
  if (SURROGATE.test(one) || SURROGATE.test(other)) return Buffer.compare(Buffer.from(one), Buffer.from(other));
  // Where no character takes two of JavaScript's units, theirs is the same order.
  if (one === other) return 0;
  return one < other ? -1 : 1;
}

const SURROGATE = /[\ud800-\udfff]/;
