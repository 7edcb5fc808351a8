/**
 * The bytes of an item as DynamoDB counts them against its limit of 400 KB and in its bill.
 *
 * Rules: "DynamoDB item sizes and formats" in the Developer Guide
 * (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html): names and strings
 * by their UTF-8 bytes; BOOL and NULL 1; lists and maps 3 and 1 more for each element; numbers "approximately" 1 byte
 * and 1 for every two significant digits. The rest is by observation: digits are paired from the decimal
 * point, so that an odd exponent can cost a byte more, and so does a minus sign.
 */
import type { AttributeValue } from "@aws-sdk/client-dynamodb";
import type { AttributeMap } from "./attribute-value.ts";

/** The bytes of a whole item, names included. */
export function itemBytes(item: AttributeMap): number {
  let bytes = 0;
  for (const name of Object.keys(item)) bytes += Buffer.byteLength(name) + attributeBytes(item[name] as AttributeValue);
  return bytes;
}

/** The bytes of a value, without its name. Bytes and sets, which Tidemark never writes, count as nothing. */
export function attributeBytes(attribute: AttributeValue): number {
  if (attribute.S !== undefined) return Buffer.byteLength(attribute.S);
  if (attribute.N !== undefined) return numberBytes(attribute.N);
  if (attribute.M !== undefined) {
    let bytes = 3;
    for (const name of Object.keys(attribute.M)) {
      bytes += 1 + Buffer.byteLength(name) + attributeBytes(attribute.M[name] as AttributeValue);
    }
    return bytes;
  }
  if (attribute.L !== undefined) {
    let bytes = 3;
    for (const element of attribute.L) bytes += 1 + attributeBytes(element);
    return bytes;
  }
  return attribute.BOOL !== undefined || attribute.NULL !== undefined ? 1 : 0;
}

const ZERO = 48;
const NINE = 57;

/** Reads the text once, without making another: most of an item's attributes can be numbers. */
function numberBytes(text: string): number {
  const negative = text.charCodeAt(0) === 45 /* - */ ? 1 : 0;
  let digits = 0; // from the first that is not zero to the last that is not zero
  let trailingZeros = 0;
  let exponent = 0; // of the first significant digit
  let beforePoint = true;
  for (let i = negative; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 46 /* . */) {
      beforePoint = false;
    } else if (code >= ZERO && code <= NINE) {
      if (code === ZERO) {
        if (digits > 0) trailingZeros++;
      } else {
        digits += digits > 0 ? trailingZeros + 1 : 1;
        trailingZeros = 0;
      }
      if (beforePoint) exponent += digits > 0 ? 1 : 0;
      else exponent -= digits > 0 ? 0 : 1;
    } else {
      exponent += Number(text.slice(i + 1)); // e or E
      break;
    }
  }
  if (digits === 0) return 1;
  const splitPair = digits % 2 === 0 && (exponent - 1) % 2 === 0 ? 1 : 0;
  return 1 + Math.ceil(digits / 2) + splitPair + negative;
}
