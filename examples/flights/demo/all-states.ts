import type { StatePage } from "../../../local/read-states.ts";
import type { States } from "./truth.ts";

/** Every state of a function, page by page: one an airport. */
export async function allStates(pageFrom: (cursor?: string) => Promise<StatePage>): Promise<States> {
  const states: States = new Map();
  let cursor: string | undefined;
  do {
    const page = await pageFrom(cursor);
    for (const { key, state } of page.states) states.set(key, state);
    cursor = page.cursor;
  } while (cursor !== undefined);
  return states;
}
