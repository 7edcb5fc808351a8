import { describe, expect, it } from "vitest";
import app from "../../../../examples/flights/app.ts";
import buggyApp from "../../../../examples/flights/buggy-app.ts";
import { describeApp } from "../../../../shared/app/app-description.ts";
import { isApp } from "../../../../shared/app/define-app.ts";
import { checkState } from "../../../../shared/function/check-state.ts";

const flight = { date: "2001-01-10T18:20", delay: 20, distance: 100, origin: "LAX", destination: "JFK" };
const context = { key: "LAX", split: "file", position: "1", replay: false };

describe("the flights app", () => {
  it("describes two functions on one source, checkpointed every minute", () => {
    expect(isApp(app)).toBe(true);
    expect(describeApp(app)).toMatchObject({
      name: "flights",
      functions: [
        { name: "on-time", source: "flights", stateVersion: 2 },
        { name: "hash-chain", source: "flights", stateVersion: 1 },
      ],
      checkpointing: { intervalMs: 60_000, mode: "exactly-once", timeoutMs: 600_000, retained: 10 },
    });
  });

  it("after the bad deploy looks the same, and writes wrong numbers that nothing refuses", async () => {
    expect(describeApp(buggyApp)).toEqual(describeApp(app));
    const [right, wrong] = [app, buggyApp].map(({ functions }) => {
      const onTime = functions[0]?.function;
      return onTime?.handle(onTime.state.initial(), flight, context);
    });
    expect(await right).toMatchObject({ flights: 1, totalDelay: 20, worstDelay: 20 });
    expect(await wrong).toMatchObject({ flights: 2, totalDelay: 1200, worstDelay: 1200 });
    expect(checkState("on-time", "LAX", await wrong)).toBeTypeOf("object");
  });
});
