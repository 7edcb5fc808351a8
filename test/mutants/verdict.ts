/** What came of a mutant. */
export type Verdict =
  | {
      readonly killed: true;
      /** Of the history that broke a promise. */
      readonly seed: number;
      /** Run until then, that one included. */
      readonly histories: number;
      /** Which promise, in words. */
      readonly promise: string;
    }
  | { readonly killed: false; readonly histories: number };
