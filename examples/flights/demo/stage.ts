import type { Engine } from "../../../local/engine.ts";
import type { BackendName } from "../../../local/home.ts";
import type { DealtSplit } from "./data.ts";
import type { Feed } from "./feed.ts";
import type { Narrator } from "./narrator.ts";
import type { Watch } from "./watch.ts";

/** What every act of the demo plays with. */
export interface Stage {
  readonly engine: Engine;
  readonly backend: BackendName;
  readonly feed: Feed;
  readonly splits: readonly DealtSplit[];
  readonly watch: Watch;
  readonly narrator: Narrator;
}

/** The functions of the example app. */
export const ON_TIME = "on-time";
export const HASH_CHAIN = "hash-chain";
