import { expect, test } from "vitest";
import { systemClock } from "../../../shared/environment.ts";
import { pause } from "../../../shared/source/pause.ts";

const endless = { now: () => 0, sleep: () => new Promise<void>(() => {}) };

test("ends when the signal aborts, however long it was to last", async () => {
  const abort = new AbortController();
  const paused = pause(endless, 60_000, abort.signal);
  abort.abort();
  await paused;
});

test("does not begin when the signal has aborted before", async () => {
  await pause(endless, 60_000, AbortSignal.abort());
});

test.each([undefined, new AbortController().signal])("lasts as long as the clock says otherwise", async (signal) => {
  const slept: number[] = [];
  await pause({ now: () => 0, sleep: async (ms) => void slept.push(ms) }, 250, signal);
  expect(slept).toEqual([250]);
});

test("leaves no timer behind that would keep the process alive", async () => {
  const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  const before = timers();
  const abort = new AbortController();
  const paused = pause(systemClock, 60_000, abort.signal);
  expect(timers()).toBe(before + 1);
  abort.abort();
  await paused;
  expect(timers()).toBe(before);
});
