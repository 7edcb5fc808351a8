/**
 * Reads the text of an expression, token by token. What stands in it is either understood or refused: nothing is
 * skipped, and a form of DynamoDB's that no adapter sends is refused as unknown rather than guessed.
 */
import type { AttributeValue } from "@aws-sdk/client-dynamodb";
import type { Item } from "./attribute-rules.ts";
import { UnknownToTheWire, validation } from "./failures.ts";

const TOKEN = /\s*(?:([#:]?\w+)|(<>|<=|>=|[-+=<>(),.]))/y;

/** Names that stand in expressions without a placeholder: those that are known to be no reserved words. */
const BARE_NAMES = new Set(["pk", "sk", "beforeItem"]);

/** A document path, each part a name or the placeholder of one. */
export type Path = readonly string[];

export type Operand = { readonly path: Path } | { readonly value: string };

/** The placeholders of one request, and which of them its expressions have used. */
export class Placeholders {
  readonly #names: Readonly<Record<string, string>>;
  readonly #values: Item;
  readonly #unused: Set<string>;

  constructor(names: Readonly<Record<string, string>> = {}, values: Item = {}) {
    this.#names = names;
    this.#values = values;
    this.#unused = new Set([...Object.keys(names), ...Object.keys(values)]);
  }

  /** The names that a path is made of. */
  path(path: Path): readonly string[] {
    return path.map((part) => (part.startsWith("#") ? this.#name(part) : part));
  }

  value(placeholder: string): AttributeValue {
    const value = this.#values[placeholder];
    this.#unused.delete(placeholder);
    if (value !== undefined) return value;
    throw validation(
      `An expression attribute value used in expression is not defined; attribute value: ${placeholder}`,
    );
  }

  /** @throws ValidationException when one was given that no expression uses. */
  checkAllUsed(): void {
    for (const placeholder of this.#unused) {
      const where = placeholder.startsWith("#") ? "ExpressionAttributeNames" : "ExpressionAttributeValues";
      throw validation(`Value provided in ${where} unused in expressions: keys: {${placeholder}}`);
    }
  }

  #name(placeholder: string): string {
    const name = this.#names[placeholder];
    this.#unused.delete(placeholder);
    if (name !== undefined) return name;
    throw validation(
      `An expression attribute name used in the document path is not defined; attribute name: ${placeholder}`,
    );
  }
}

export class ExpressionReader {
  readonly text: string;
  readonly #tokens: string[] = [];
  #at = 0;

  constructor(text: string) {
    this.text = text;
    TOKEN.lastIndex = 0;
    const end = text.trimEnd().length;
    if (end === 0) throw validation("Invalid expression: The expression can not be empty;");
    while (TOKEN.lastIndex < end) {
      const match = TOKEN.exec(text);
      if (match === null) throw new UnknownToTheWire(`the expression ${text}`);
      this.#tokens.push((match[1] ?? match[2]) as string);
    }
  }

  get next(): string | undefined {
    return this.#tokens[this.#at];
  }

  /** The tokens taken so far. */
  get position(): number {
    return this.#at;
  }

  get afterNext(): string | undefined {
    return this.#tokens[this.#at + 1];
  }

  take(): string {
    const token = this.#tokens[this.#at++];
    return token ?? this.refuse("it ends too early");
  }

  /** Takes the next token if it is this one; words in any case. */
  takes(token: string): boolean {
    const found = this.next === token || this.next?.toUpperCase() === token;
    if (found) this.#at++;
    return found;
  }

  expect(token: string): void {
    if (!this.takes(token)) this.refuse(`"${token}" was expected`);
  }

  expectEnd(): void {
    if (this.next !== undefined) this.refuse("it goes on");
  }

  path(): Path {
    const parts: string[] = [];
    do {
      const part = this.take();
      if (!/^#?\w+$/.test(part)) this.refuse("a path was expected");
      if (!part.startsWith("#") && !BARE_NAMES.has(part)) this.refuse(`${part} may be a reserved word`);
      parts.push(part);
    } while (this.takes("."));
    return parts;
  }

  operand(): Operand {
    return this.next?.startsWith(":") ? { value: this.take() } : { path: this.path() };
  }

  refuse(why: string): never {
    throw new UnknownToTheWire(`the expression ${JSON.stringify(this.text)}, at "${this.next ?? "its end"}": ${why}`);
  }
}

/** What stands at a path; undefined: nothing does. */
export function read(item: Item | undefined, path: readonly string[]): AttributeValue | undefined {
  let found: AttributeValue | undefined;
  let within: Item | undefined = item;
  for (const name of path) {
    if (within === undefined || !Object.hasOwn(within, name)) return undefined;
    found = within[name];
    within = found?.M;
  }
  return found;
}

export const overlap = (one: readonly string[], other: readonly string[]): boolean =>
  one.slice(0, other.length).every((name, i) => name === other[i]);

/** Reads each text once: an adapter has few, and sends them over and over. */
export function remembered<Read>(read: (text: string) => Read): (text: string) => Read {
  const known = new Map<string, Read>();
  return (text) => {
    const before = known.get(text);
    if (before !== undefined) return before;
    const now = read(text);
    if (known.size < 2_000) known.set(text, now);
    return now;
  };
}
