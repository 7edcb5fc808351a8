/** As much of Vitest as the suites use, for tests that are run again and again; `in-process-runner.ts` puts it in Vitest's place. */
import { format } from "node:util";
import { chai, JestAsymmetricMatchers, JestChaiExpect, JestExtend } from "@vitest/expect";

export interface RegisteredTest {
  /** Unlike any other's. */
  readonly id: string;
  readonly file: string;
  readonly run: () => unknown;
}

type Body = (...args: never[]) => unknown;

chai.use(JestExtend);
chai.use(JestChaiExpect);
chai.use(JestAsymmetricMatchers);
export const { expect } = chai;

const tests: { readonly name: string; readonly run: () => unknown }[] = [];
const titles: string[] = [];
let needsService = false;

/** Those that were registered since it was last asked. */
export function registered(file: string): RegisteredTest[] {
  const ours = tests.splice(0);
  if (needsService) ours.length = 0;
  needsService = false;
  return ours.map(({ name, run }, index) => ({ id: `${file} ${index + 1}: ${name}`, file, run }));
}

export const describe = Object.assign(
  (title: string, body: () => void): void => {
    const before = tests.length;
    const outer = needsService;
    needsService = false;
    titles.push(title);
    body();
    titles.pop();
    if (needsService) tests.length = before;
    needsService = outer;
  },
  { each: eachOf((title, body) => describe(title, body)) },
);

export const it = Object.assign(
  (title: string, run: () => unknown): void => {
    tests.push({ name: [...titles, title].join(" > "), run });
  },
  { each: eachOf((title, run) => it(title, run)) },
);

export { it as test };

/** What starts a service takes too long: the tests of its block, or of its file, are left out. */
export function beforeAll(): void {
  needsService = true;
}

export function afterAll(): void {}

function eachOf(register: (title: string, body: () => void) => void) {
  return (cases: readonly unknown[]) =>
    (title: string, body: Body): void => {
      for (const one of cases) {
        const args = (Array.isArray(one) ? one : [one]) as never[];
        const told = args.slice(0, title.match(/%[a-z]/g)?.length ?? 0);
        register(format(title, ...told), () => body(...args));
      }
    };
}
