import { describe, expect, it } from "vitest";
import { z } from "zod";
import { describeApp } from "../../../shared/app/app-description.ts";
import { defineApp } from "../../../shared/app/define-app.ts";
import { defineFunction } from "../../../shared/function/define-function.ts";

const clicks = defineFunction({
  name: "clicks",
  event: z.string(),
  key: (text) => text,
  state: { initial: () => 0 },
  handle: (count) => count + 1,
});

describe("describeApp", () => {
  it("fills in every default", () => {
    const app = defineApp({ name: "site", functions: [{ function: clicks, source: "web" }] });
    expect(describeApp(app)).toStrictEqual({
      name: "site",
      functions: [{ name: "clicks", source: "web", stateVersion: 1 }],
      checkpointing: { mode: "exactly-once", timeoutMs: 600_000, retained: 10 },
      deadLetters: { triesMax: 10, maxConsecutiveDeadLetters: 100 },
    });
  });

  it("carries what was given, and survives JSON", () => {
    const taps = defineFunction({
      ...clicks,
      name: "taps",
      previousName: "presses",
      state: { version: 3, initial: () => 0 },
    });
    const app = defineApp({
      name: "site",
      functions: [
        { function: taps, source: "web", startFrom: new Date("2026-01-31T00:00:00Z") },
        { function: clicks, source: "web", startFrom: "earliest" },
      ],
      sources: { web: "data/*.jsonl" },
      checkpointing: { intervalMs: 5_000, mode: "at-least-once", timeoutMs: 7_000, retained: 3 },
      deadLetters: { triesMax: 2, maxConsecutiveDeadLetters: 4 },
    });
    const description = describeApp(app);
    expect(description).toStrictEqual({
      name: "site",
      functions: [
        { name: "taps", previousName: "presses", source: "web", stateVersion: 3, startTimeMs: 1_769_817_600_000 },
        { name: "clicks", source: "web", stateVersion: 1 },
      ],
      checkpointing: { intervalMs: 5_000, mode: "at-least-once", timeoutMs: 7_000, retained: 3 },
      deadLetters: { triesMax: 2, maxConsecutiveDeadLetters: 4 },
    });
    expect(JSON.parse(JSON.stringify(description))).toStrictEqual(description);
  });
});
