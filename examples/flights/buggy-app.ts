/** The flights app after a bad deploy: see on-time/buggy-on-time.ts. */
import { defineApp } from "../../shared/index.ts";
import app from "./app.ts";
import { buggyOnTime } from "./buggy-on-time.ts";
import { onTime } from "./on-time.ts";

export default defineApp({
  ...app,
  functions: app.functions.map((binding) =>
    binding.function === onTime ? { ...binding, function: buggyOnTime } : binding,
  ),
});
