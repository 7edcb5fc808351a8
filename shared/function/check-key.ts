import { TidemarkError } from "../errors.ts";
import { describeValue } from "../json/describe-value.ts";
import { disownPromise } from "../json/disown-promise.ts";
import { isWellFormed } from "../json/well-formed.ts";
import { type KeyNamer, plainKey } from "./name-key.ts";

/** DynamoDB takes 1 to 2048 bytes of UTF-8 as a partition key ("Constraints in Amazon DynamoDB", Partition keys). */
export const KEY_BYTES_MAX = 2048;

/** No UTF-16 unit takes more than three bytes of UTF-8, so text this short need not be measured. */
const SHORT_UNITS_MAX = Math.floor(KEY_BYTES_MAX / 3);

/**
 * What a function's `key` returned, checked to be what every state backend can keep state by.
 * @throws TidemarkError `fix-function` when it is no text, empty, longer than 2048 bytes, or has no UTF-8 form.
 */
export function checkKey(functionName: string, key: unknown, nameKey: KeyNamer = plainKey): string {
  if (typeof key === "string" && key.length > 0 && key.length <= SHORT_UNITS_MAX && isWellFormed(key)) return key;
  return checkUnusualKey(functionName, key, nameKey);
}

function checkUnusualKey(functionName: string, key: unknown, nameKey: KeyNamer): string {
  if (typeof key !== "string") {
    throw refusal(
      functionName,
      describeNoText(key, nameKey),
      "Return text, for a number String(number), and let the event's schema require the field.",
    );
  }
  if (key === "") {
    throw refusal(
      functionName,
      "an empty string",
      'Return a name of your own for events without a key ("none"), or let the event\'s schema refuse them.',
    );
  }
  const start = nameKey(key);
  if (!isWellFormed(key)) {
    throw refusal(
      functionName,
      `${start}, which has a lone surrogate and so no UTF-8 form`,
      "Return key.toWellFormed().",
    );
  }
  const bytes = Buffer.byteLength(key, "utf8");
  if (bytes > KEY_BYTES_MAX) {
    throw refusal(
      functionName,
      `${bytes} bytes of UTF-8 (${start})`,
      "Return a shorter key, or a hash of it (createHash from node:crypto), and keep the long name in the state.",
    );
  }
  return key;
}

function describeNoText(key: unknown, nameKey: KeyNamer): string {
  if (key === undefined || key === null) return String(key);
  if (disownPromise(key)) return "a promise, and no key is waited for";
  if (typeof key === "object") return "an object";
  const described = describeValue(key, 200);
  return `${typeof key} (${nameKey === plainKey ? described : nameKey(described)})`;
}

function refusal(functionName: string, given: string, wayOut: string): TidemarkError {
  return new TidemarkError(
    "fix-function",
    `key of ${functionName} returned ${given}; a key is text of 1 to ${KEY_BYTES_MAX} bytes of UTF-8. ${wayOut}`,
  );
}
