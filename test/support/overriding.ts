/** A store with one method replaced. */
export function overriding<Store extends object, Name extends keyof Store>(
  store: Store,
  name: Name,
  method: Store[Name],
): Store {
  return new Proxy(store, {
    get(target, asked) {
      if (asked === name) return method;
      const member = Reflect.get(target, asked, target);
      return typeof member === "function" ? member.bind(target) : member;
    },
  });
}
