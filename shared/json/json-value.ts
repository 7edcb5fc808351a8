/** What state may consist of: JSON with finite numbers, and with BigInts of up to 38 digits, which stay BigInts. */
export type JsonValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue };
