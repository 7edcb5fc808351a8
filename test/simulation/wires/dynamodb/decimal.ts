/**
 * Numbers as DynamoDB keeps them: decimals of at most 38 significant digits, exact, given back as plain text.
 *
 * Written for the simulator and shares nothing with `shared/json`, which it is compared with.
 */
const TEXT = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/;

const DIGITS_MAX = 38;
const EXPONENT_MIN = -130;
const EXPONENT_MAX = 125;

/** `0.<digits> * 10^point`, without zeros at either end of the digits; no digits: zero. */
export interface Decimal {
  readonly negative: boolean;
  readonly digits: string;
  readonly point: number;
}

const ZERO: Decimal = { negative: false, digits: "", point: 0 };

/** @returns undefined when it is no number; a text when DynamoDB refuses it, as DynamoDB says it. */
export function readDecimal(text: string): Decimal | string {
  const parts = TEXT.exec(text);
  if (parts === null || (parts[2] ?? "") + (parts[3] ?? "") === "") {
    return text === ""
      ? "The parameter cannot be converted to a numeric value"
      : `The parameter cannot be converted to a numeric value: ${text}`;
  }
  const whole = parts[2] ?? "";
  const decimal = trimmed(parts[1] === "-", whole + (parts[3] ?? ""), whole.length + Number(parts[4] ?? 0));
  if (decimal.digits === "") return ZERO;
  if (decimal.point - 1 > EXPONENT_MAX) {
    return "Number overflow. Attempting to store a number with magnitude larger than supported range";
  }
  if (decimal.point - 1 < EXPONENT_MIN) {
    return "Number underflow. Attempting to store a number with magnitude smaller than supported range";
  }
  if (decimal.digits.length > DIGITS_MAX) return "Attempting to store more than 38 significant digits in a Number";
  return decimal;
}

function trimmed(negative: boolean, digits: string, point: number): Decimal {
  let from = 0;
  while (from < digits.length && digits[from] === "0") from++;
  let to = digits.length;
  while (to > from && digits[to - 1] === "0") to--;
  return from === to ? ZERO : { negative, digits: digits.slice(from, to), point: point - from };
}

export function writeDecimal({ negative, digits, point }: Decimal): string {
  if (digits === "") return "0";
  const sign = negative ? "-" : "";
  if (point <= 0) return `${sign}0.${"0".repeat(-point)}${digits}`;
  if (point >= digits.length) return sign + digits + "0".repeat(point - digits.length);
  return `${sign}${digits.slice(0, point)}.${digits.slice(point)}`;
}

export function compareDecimals(one: Decimal, other: Decimal): number {
  const [a, b] = scaled(one, other);
  return a < b ? -1 : a > b ? 1 : 0;
}

/** @param sign - 1 to add, -1 to subtract */
export function sumOf(one: Decimal, other: Decimal, sign: 1 | -1): Decimal {
  const [a, b, places] = scaled(one, other);
  const sum = a + BigInt(sign) * b;
  const digits = (sum < 0n ? -sum : sum).toString();
  return trimmed(sum < 0n, digits, digits.length - places);
}

/** Both as integers, and the decimal places that they were moved by. */
function scaled(one: Decimal, other: Decimal): readonly [bigint, bigint, number] {
  const places = Math.max(one.digits.length - one.point, other.digits.length - other.point, 0);
  const integer = ({ negative, digits, point }: Decimal): bigint => {
    const magnitude = BigInt(`${digits}${"0".repeat(places - digits.length + point)}` || "0");
    return negative ? -magnitude : magnitude;
  };
  return [integer(one), integer(other), places];
}

/** The bytes that a number takes: pairs of digits counted from the point, one more, and one for a minus sign. */
export function decimalBytes({ negative, digits, point }: Decimal): number {
  if (digits === "") return 1;
  const leading = Math.abs(point) % 2;
  return 1 + Math.ceil((leading + digits.length) / 2) + (negative ? 1 : 0);
}
