/**
 * Whether the language's own objects are still what this code was written for. Users' code shares them with Tidemark and
 * with the SDK: a member that is added to Object.prototype is one of every object there is, and a replaced method works for
 * everybody as its replacer wrote it.
 *
 * What can be undone is undone, so that what failed can still be written down; the process is not to be used any more all
 * the same, since whoever changed something may count on it by now.
 */
import { TidemarkError } from "./errors.ts";

/** The language's own objects were changed, so this process ends. */
export class ChangedBuiltInsError extends TidemarkError {
  /** What was changed, in a few words. */
  readonly what: string;
  /** Everything works again in this process, until it is changed anew. */
  readonly undone: boolean;

  constructor(what: string, undone: boolean) {
    super(
      "fix-function",
      `The app's code changed the language's own objects: ${what}. All code of the process shares them, so the process is replaced. ` +
        "Find what changes them: a library that extends prototypes, or a copy of members by names that a record holds, such as __proto__.",
    );
    this.what = what;
    this.undone = undone;
  }
}

let latest: ChangedBuiltInsError | undefined;

/** What was found changed in this process, now or before; undefined: nothing ever was. Some microseconds. */
export function changedBuiltIns(): ChangedBuiltInsError | undefined {
  return findChange() ?? latest;
}

/**
 * To be asked once the app's module is loaded.
 * @throws ChangedBuiltInsError when it changed the language's own objects
 */
export function refuseChangedBuiltIns(): void {
  const change = findChange();
  if (change !== undefined) throw change;
}

/** What is found changed now, undone as far as it can be. Some microseconds: for once a batch, not for each event. */
export function findChange(): ChangedBuiltInsError | undefined {
  const hadAdded = hasAdded(Object.prototype) || hasAdded(Array.prototype);
  if (!hadAdded && doBuiltInsWork()) return undefined;
  let what = "";
  const add = (change: string): void => {
    what += what === "" ? change : `, ${change}`;
  };
  if (!doBuiltInsWork()) restoreReplaced(add);
  takeAdded(Object.prototype, "Object", add);
  takeAdded(Array.prototype, "Array", add);
  if (what === "") what = "something that everything is made with no longer does what it did";
  const undone = doBuiltInsWork() && !hasAdded(Object.prototype) && !hasAdded(Array.prototype);
  latest = new ChangedBuiltInsError(what, undone);
  return latest;
}

// Kept from before any code of a user's, to put back by them what was replaced, themselves among it.
const { defineProperty, getOwnPropertyDescriptor, keys } = Object;
const { deleteProperty, ownKeys, set } = Reflect;

const hasAdded = (prototype: object): boolean => keys(prototype).length > 0;

/** Named and removed: nobody else added an enumerable member, and a loop over any object's members meets each of them. */
function takeAdded(prototype: object, owner: string, add: (change: string) => void): void {
  const names = keys(prototype);
  for (let index = 0; index < names.length; index++) {
    const name = names[index] as string;
    deleteProperty(prototype, name);
    add(`${owner}.prototype has got a member ${quoted(name)}`);
  }
}

/** What quotes it may be what was replaced. */
function quoted(name: string): string {
  try {
    return JSON.stringify(name.slice(0, 100));
  } catch {
    return "of some name";
  }
}

interface Original {
  readonly owner: object;
  readonly member: PropertyKey;
  readonly name: string;
  readonly descriptor: PropertyDescriptor;
}

const ORIGINALS: readonly Original[] = Object.entries({
  ...{ Object, Array, Map, Set, String, Number, Promise, Date, RegExp, Error, Function, Symbol, Buffer },
  ...{ JSON, Math, Reflect, globalThis: { Object, Array, Map, Set, Promise, JSON } },
}).flatMap(([name, of]) => {
  const owner = name === "globalThis" ? globalThis : of;
  const { prototype } = of as { readonly prototype?: object };
  return [
    ...originalsOf(name, owner, ownKeys(of)),
    ...(prototype === undefined ? [] : originalsOf(`${name}.prototype`, prototype, ownKeys(prototype))),
  ];
});

function originalsOf(name: string, owner: object, members: readonly PropertyKey[]): Original[] {
  return members.flatMap((member) => {
    const descriptor = getOwnPropertyDescriptor(owner, member);
    return descriptor === undefined ? [] : [{ owner, member, name: `${name}.${String(member)}`, descriptor }];
  });
}

/** Puts back every member that is another than it was, where that can be done. Names them. Uses no method of any object. */
function restoreReplaced(add: (change: string) => void): void {
  for (let index = 0; index < ORIGINALS.length; index++) {
    const { owner, member, name, descriptor } = ORIGINALS[index] as Original;
    const now = getOwnPropertyDescriptor(owner, member);
    if (now !== undefined && now.value === descriptor.value && now.get === descriptor.get) continue;
    // Of a class of Node's some members change by themselves, and cannot be set.
    if (descriptor.configurable !== true) continue;
    try {
      defineProperty(owner, member, descriptor);
      add(`${name} was replaced`);
    } catch {
      if (now?.writable === true && set(owner, member, descriptor.value)) {
        add(`${name} was replaced`);
        continue;
      }
      // Its replacer saw to it that nobody puts it back.
      add(`${name} was replaced for good`);
    }
  }
}

/** By what they do, not by which they are: a replacement that does the same (a polyfill, a tracer) is fine. */
function doBuiltInsWork(): boolean {
  try {
    return (
      doListsWork([3, 1, 2]) &&
      doObjectsWork({ a: 1 }) &&
      doMapsWork(new Map([["a", 1]]), new Set([1, 1])) &&
      doTextsWork("a,b") &&
      JSON.stringify({ a: [1, "b", null, true] }) === '{"a":[1,"b",null,true]}' &&
      (JSON.parse('{"a":[1]}') as { a: number[] }).a[0] === 1 &&
      Promise.resolve(1).then(Number) instanceof Promise &&
      // Where Error.prototype is frozen, an error of the SDK cannot be made.
      Object.assign(new Error("m"), { name: "n", message: "o" }).name === "n"
    );
  } catch {
    return false;
  }
}

const doListsWork = (list: readonly number[]): boolean =>
  list.map((one) => one + 1).join() === "4,2,3" &&
  list.filter((one) => one > 1).length === 2 &&
  [...list].sort((a, b) => a - b).join() === "1,2,3" &&
  list.slice(1).indexOf(2) === 1 &&
  list.concat(4).at(-1) === 4 &&
  list.flatMap((one) => [one, one]).length === 6 &&
  list.reduce((sum, one) => sum + one, 0) === 6 &&
  list.find((one) => one < 3) === 1 &&
  list.findIndex((one) => one > 1) === 0 &&
  list.some((one) => one === 1) &&
  !list.every((one) => one === 1) &&
  list.includes(1) &&
  Array.from({ length: 2 }, (_, index) => index).push(2) === 3 &&
  Array.isArray(list);

const doObjectsWork = (object: { readonly a: number }): boolean =>
  Object.keys(object).join() === "a" &&
  Object.entries(object)[0]?.[1] === 1 &&
  Object.values(object)[0] === 1 &&
  Object.fromEntries([["a", 1]]).a === 1 &&
  Object.hasOwn(object, "a") &&
  !Object.hasOwn(object, "b") &&
  Object.isFrozen(Object.freeze({ ...object })) &&
  !Object.isFrozen(object) &&
  Object.getPrototypeOf(object) === Object.prototype &&
  Object.assign({}, object).a === 1;

const doMapsWork = (map: Map<string, number>, set: Set<number>): boolean =>
  map.get("a") === 1 &&
  map.set("b", 2).size === 2 &&
  [...map.keys()].join() === "a,b" &&
  map.delete("a") &&
  !map.has("a") &&
  set.size === 1 &&
  set.has(1) &&
  [...set][0] === 1;

const doTextsWork = (text: string): boolean =>
  text.split(",").length === 2 &&
  text.slice(2) === "b" &&
  text.startsWith("a") &&
  text.replaceAll(",", ";") === "a;b" &&
  text.padStart(5, "0") === "00a,b" &&
  text.charCodeAt(0) === 97 &&
  String(1) === "1" &&
  Number("1") === 1 &&
  Math.max(1, 2) + Math.min(1, 2) + Math.floor(1.5) === 4 &&
  /a(.)b/.exec(text)?.[1] === "," &&
  new Date(0).toISOString() === "1970-01-01T00:00:00.000Z" &&
  Buffer.from("é").toString("base64") === "w6k=";
