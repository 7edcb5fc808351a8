import { defineApp } from "../../shared/index.ts";
import { hashChain } from "./hash-chain.ts";
import { onTime } from "./on-time.ts";

export default defineApp({
  name: "flights",
  functions: [
    { function: onTime, source: "flights" },
    { function: hashChain, source: "flights" },
  ],
  checkpointing: { intervalMs: 60_000, mode: "exactly-once", timeoutMs: 600_000, retained: 10 },
});
