declare const old: { readonly one: () => number };
export = old;
