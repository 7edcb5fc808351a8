/** How punctual each airport is: one state per origin, folded from flights in any order. */
import { defineFunction } from "../../shared/index.ts";
import { FlightSchema } from "./flight-schema.ts";

/** A flight counts as delayed when it leaves more than this late, as airlines report it. */
const DELAYED_AFTER_MINUTES = 15;

/** Whole numbers only, so that no order of additions gives another sum; means are derived when read. */
export interface OnTime {
  readonly flights: number;
  readonly delayed: number;
  /** Minutes, early departures subtracted. */
  readonly totalDelay: number;
  /** Minutes, of the latest departure; 0 before the first flight. */
  readonly worstDelay: number;
  /** The earliest date with that delay; null when version 1 saw it, which kept no dates. */
  readonly worstDate: string | null;
  /** Sorted, each once. */
  readonly destinations: readonly string[];
}

/** What version 1 of this function stored. */
type OnTimeVersion1 = Omit<OnTime, "worstDate">;

export const onTime = defineFunction({
  name: "on-time",
  event: FlightSchema,
  key: (flight) => flight.origin,
  state: {
    version: 2,
    initial: (): OnTime => ({
      flights: 0,
      delayed: 0,
      totalDelay: 0,
      worstDelay: 0,
      worstDate: null,
      destinations: [],
    }),
    upgrade: { 1: (old: OnTimeVersion1): OnTime => ({ ...old, worstDate: null }) },
  },
  handle: (state, flight) => ({
    flights: state.flights + 1,
    delayed: state.delayed + (flight.delay > DELAYED_AFTER_MINUTES ? 1 : 0),
    totalDelay: state.totalDelay + flight.delay,
    ...worst(state, flight),
    destinations: withDestination(state.destinations, flight.destination),
  }),
});

/** Mean minutes late of the flights of an airport; undefined where none has left. */
export function meanDelay(state: Pick<OnTime, "flights" | "totalDelay">): number | undefined {
  return state.flights === 0 ? undefined : state.totalDelay / state.flights;
}

function worst(
  state: OnTime,
  flight: { readonly delay: number; readonly date: string },
): Pick<OnTime, "worstDelay" | "worstDate"> {
  if (state.flights === 0 || flight.delay > state.worstDelay) {
    return { worstDelay: flight.delay, worstDate: flight.date };
  }
  const earlier = flight.delay === state.worstDelay && state.worstDate !== null && flight.date < state.worstDate;
  return { worstDelay: state.worstDelay, worstDate: earlier ? flight.date : state.worstDate };
}

/** The same array where nothing is new, which is nearly always. */
function withDestination(sorted: readonly string[], destination: string): readonly string[] {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] as string) < destination) low = middle + 1;
    else high = middle;
  }
  return sorted[low] === destination ? sorted : sorted.toSpliced(low, 0, destination);
}
