import { expect, it } from "vitest";
import { HeapStateBackend } from "../../shared/state/heap/heap-state-backend.ts";
import { stateContract } from "./state-contract.ts";

let functions = 0;
const newFunction = async () => `function-${functions++}`;

stateContract(
  "heap",
  async () => ({ backend: new HeapStateBackend({ pageItems: 7 }), newFunction, close: async () => {} }),
  7,
);

it("ends a scan although keys are added faster than it reads", async () => {
  const backend = new HeapStateBackend({ pageItems: 1 });
  const add = (key: string) =>
    backend.write(
      "f",
      { key, generation: 1, v: key, epoch: 0, state: { value: 1, version: 1 }, applied: {} },
      undefined,
    );
  for (let i = 0; i < 10; i++) await add(`old-${i}`);
  let pages = 0;
  for await (const page of backend.scan({ function: "f", generation: 1 }, { index: 0, count: 1 })) {
    expect(page.items.every((item) => item.key.startsWith("old-"))).toBe(true);
    pages++;
    await add(`new-a-${pages}`);
    await add(`new-b-${pages}`);
  }
  expect(pages).toBe(10);
});
