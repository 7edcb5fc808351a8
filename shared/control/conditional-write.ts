/**
 * One conditional write of one item, as data: what the protocol's steps are made of. Adapters of the control store
 * translate it (DynamoDB) or carry it out (heap); no adapter knows a step of the protocol.
 *
 * Right-hand sides are values or old values of attributes of the same item, as in DynamoDB's UpdateExpression.
 */
import type { JsonValue } from "../json/json-value.ts";

/** An attribute, or a member of a map attribute: `["barriers", "7"]`. */
export type AttributePath = readonly [string] | readonly [string, string];

export type Operand = { readonly value: JsonValue } | { readonly attribute: AttributePath };

export type Comparison = "=" | "<>" | "<" | "<=" | ">" | ">=";

/**
 * A comparison with an attribute that does not exist does not hold, but for `<>`, which does (as in DynamoDB).
 * Numbers, strings, booleans and null are compared; never lists or maps.
 */
export type Condition =
  | { readonly exists: AttributePath }
  | { readonly missing: AttributePath }
  | { readonly attribute: AttributePath; readonly is: Comparison; readonly to: Operand }
  | { readonly anyOf: readonly Condition[] };

export interface ConditionalWrite {
  /** All must hold. None: the write is unconditional. */
  readonly conditions: readonly Condition[];
  readonly set?: readonly (readonly [AttributePath, Operand])[];
  /** Adds an integer to a number; a missing attribute counts as 0. */
  readonly add?: readonly (readonly [AttributePath, number])[];
  readonly remove?: readonly AttributePath[];
}

export const path = (name: string, member?: string | number): AttributePath =>
  member === undefined ? [name] : [name, String(member)];
export const value = (literal: JsonValue): Operand => ({ value: literal });
export const attribute = (name: string): Operand => ({ attribute: [name] });

export const exists = (name: string): Condition => ({ exists: [name] });
export const missing = (name: string): Condition => ({ missing: [name] });
export const compare = (name: string, is: Comparison, to: JsonValue): Condition => ({
  attribute: [name],
  is,
  to: { value: to },
});
export const compareAttributes = (name: string, is: Comparison, other: string): Condition => ({
  attribute: [name],
  is,
  to: { attribute: [other] },
});
export const anyOf = (...conditions: readonly Condition[]): Condition => ({ anyOf: conditions });
