/** An app that counts events by their key, checkpointed only when it is asked for. */
import { z } from "zod";
import { type AppDefinition, defineApp, defineFunction } from "../../../shared/index.ts";

export function countingApp(name: string): AppDefinition {
  const count = defineFunction({
    name: "count",
    event: z.object({ key: z.string() }),
    key: (event) => event.key,
    state: { initial: () => ({ count: 0 }) },
    handle: (state) => ({ count: state.count + 1 }),
  });
  return defineApp({ name, functions: [{ function: count, source: "events" }] });
}
