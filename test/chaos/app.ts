/** The example app under a name of its own: tables are named after it, and an emulator may be shared. */

import { hashChain } from "../../examples/flights/hash-chain.ts";
import { onTime } from "../../examples/flights/on-time.ts";
import { defineApp } from "../../shared/index.ts";

export default defineApp({
  name: process.env.TIDEMARK_CHAOS_APP ?? "chaos",
  functions: [
    { function: onTime, source: "flights" },
    { function: hashChain, source: "flights" },
  ],
  checkpointing: { intervalMs: 1_000, mode: "exactly-once", timeoutMs: 300_000, retained: 10 },
});
