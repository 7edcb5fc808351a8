/** Stores whose process dies at a chosen call: before the call is done, or after it, with its answer lost. */
import type { Stores } from "./restore-world.ts";

export class Crash extends Error {
  constructor(call: number) {
    super(`the process died at store call ${call}`);
  }
}

export interface FailingStores extends Stores {
  /** How many calls were made; past the crash every call fails. */
  readonly calls: () => number;
}

export function failingStores(
  stores: Stores,
  crash: { readonly at: number; readonly answerLost: boolean },
): FailingStores {
  let calls = 0;
  const guarded = <Store extends object>(store: Store): Store =>
    new Proxy(store, {
      get(target, name) {
        const member = Reflect.get(target, name) as unknown;
        if (typeof member !== "function") return member;
        // A check in this process is no call.
        if (name === "refuseOversized") return member.bind(target);
        return (...given: unknown[]) => {
          calls += 1;
          const call = calls;
          const run = (): unknown => Reflect.apply(member, target, given);
          if (call < crash.at) return run();
          if (call > crash.at || !crash.answerLost || name === "list" || name === "scan") throw new Crash(call);
          return Promise.resolve(run()).then(() => Promise.reject(new Crash(call)));
        };
      },
    });
  return {
    ...{ control: guarded(stores.control), state: guarded(stores.state), storage: guarded(stores.storage) },
    calls: () => calls,
  };
}

/** Runs `hook` once, just before the first call that `matches`: what another process does at that moment. */
export function interleaved<Store extends object>(
  store: Store,
  matches: (name: string, given: readonly unknown[]) => boolean,
  hook: () => Promise<void>,
): Store {
  let done = false;
  return new Proxy(store, {
    get(target, name) {
      const member = Reflect.get(target, name) as unknown;
      if (typeof member !== "function") return member;
      return (...given: unknown[]) => {
        if (done || !matches(String(name), given)) return Reflect.apply(member, target, given);
        done = true;
        return hook().then(() => Reflect.apply(member, target, given));
      };
    },
  });
}
