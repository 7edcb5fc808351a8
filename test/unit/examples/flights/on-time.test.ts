import { describe, expect, it } from "vitest";
import type { Flight } from "../../../../examples/flights/flight-schema.ts";
import { meanDelay, type OnTime, onTime } from "../../../../examples/flights/on-time.ts";
import { upgradeImage } from "../../../../shared/function/upgrade-image.ts";
import { freezeDeep } from "../../../../shared/json/freeze-deep.ts";

const context = { key: "LAX", split: "file", position: "1", replay: false };

function flight(change: Partial<Flight>): Flight {
  return { date: "2001-01-10T18:20", delay: 0, distance: 100, origin: "LAX", destination: "JFK", ...change };
}

function fold(changes: readonly Partial<Flight>[], from = onTime.state.initial()): OnTime {
  return changes.reduce<OnTime>(
    (state, change) => onTime.handle(freezeDeep(state), flight(change), context) as OnTime,
    from,
  );
}

describe("on-time", () => {
  it("counts flights, those more than 15 minutes late, and minutes", () => {
    expect(fold([{ delay: 15 }, { delay: 16 }, { delay: -20 }, { delay: 100 }])).toMatchObject({
      flights: 4,
      delayed: 2,
      totalDelay: 111,
    });
  });

  it("keeps the worst delay and the earliest date that had it, in whatever order they come", () => {
    const days = [
      { delay: 30, date: "2001-01-03T00:00" },
      { delay: 30, date: "2001-01-02T00:00" },
      { delay: 30, date: "2001-01-04T00:00" },
      { delay: 10, date: "2001-01-01T00:00" },
    ];
    for (const order of [days, days.toReversed(), [2, 0, 3, 1].map((i) => days[i] ?? {})]) {
      expect(fold(order)).toMatchObject({ worstDelay: 30, worstDate: "2001-01-02T00:00" });
    }
  });

  it("takes the first flight as the worst even if it left early", () => {
    expect(fold([{ delay: -7, date: "2001-01-01T00:00" }])).toMatchObject({
      worstDelay: -7,
      worstDate: "2001-01-01T00:00",
    });
  });

  it("keeps destinations sorted, each once", () => {
    const names = ["ORD", "ABE", "YAK", "MIA", "ABE", "YAK", "ORD"];
    expect(fold(names.map((destination) => ({ destination }))).destinations).toEqual(["ABE", "MIA", "ORD", "YAK"]);
  });

  it("reuses the destinations where nothing is new", () => {
    const before = fold([{ destination: "ORD" }, { destination: "ABE" }]);
    expect(fold([{ destination: "ORD" }], before).destinations).toBe(before.destinations);
  });

  it("upgrades state of version 1, which kept no date", () => {
    const old = { flights: 3, delayed: 1, totalDelay: 40, worstDelay: 30, destinations: ["ORD"] };
    const upgraded = upgradeImage(onTime, { value: old, version: 1 }) as unknown as OnTime;
    expect(upgraded).toEqual({ ...old, worstDate: null });
    expect(fold([{ delay: 30 }], upgraded)).toMatchObject({ worstDelay: 30, worstDate: null });
    expect(fold([{ delay: 31 }], upgraded)).toMatchObject({ worstDelay: 31, worstDate: "2001-01-10T18:20" });
  });

  it("keys flights by their origin", () => {
    expect(onTime.key(flight({ origin: "ANC" }))).toBe("ANC");
  });
});

describe("meanDelay", () => {
  it("derives the mean when read, and none before the first flight", () => {
    expect(meanDelay(fold([{ delay: 10 }, { delay: -5 }]))).toBe(2.5);
    expect(meanDelay(onTime.state.initial())).toBeUndefined();
  });
});
