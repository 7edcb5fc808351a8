/** What histories can run on. */
import { ADAPTER_BRANCHES, AdapterStores } from "./adapter-stores.ts";
import { BRANCHES } from "./coverage.ts";
import type { WorldOptions } from "./run-histories.ts";

export const WORLD_NAMES = ["ports", "adapters"] as const;
export type WorldName = (typeof WORLD_NAMES)[number];

interface World {
  readonly options: WorldOptions;
  /** What a run of so many histories must have come through. */
  readonly covering: readonly { readonly runs: number; readonly branches: Iterable<string> }[];
}

const PROTOCOL = { runs: 50_000, branches: BRANCHES };

export const WORLDS: Readonly<Record<WorldName, World>> = {
  /** The heap adapters; quick. */
  ports: { options: {}, covering: [PROTOCOL] },
  /** The DynamoDB and S3 adapters, whose commands are answered in memory. lib-storage works on streams. */
  adapters: {
    options: { open: (surroundings) => new AdapterStores(surroundings), settle: "event loop", largeStates: 0.08 },
    covering: [PROTOCOL, { runs: 5_000, branches: ADAPTER_BRANCHES }],
  },
};
