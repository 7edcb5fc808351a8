/** The fold of the Flink job that the heap benchmark stands beside (`flink.ts`): three sums, and no look at the rest. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { onTime } from "../examples/flights/on-time.ts";
import { defineFunction } from "../shared/function/define-function.ts";

interface Delay {
  readonly origin: string;
  readonly delay: number;
}

const DelaySchema: StandardSchemaV1<unknown, Delay> = {
  "~standard": {
    version: 1,
    vendor: "bench",
    validate(raw) {
      const flight = raw as Partial<Delay> | null;
      return typeof flight?.origin === "string" && Number.isInteger(flight.delay)
        ? { value: flight as Delay }
        : { issues: [{ message: "no flight" }] };
    },
  },
};

/** Its sums are those of on-time, so that the states of both can be compared. */
export const delaySums = defineFunction({
  name: onTime.name,
  event: DelaySchema,
  key: (flight) => flight.origin,
  state: { initial: () => ({ flights: 0, delayed: 0, totalDelay: 0 }) },
  handle: (state, { delay }) => ({
    flights: state.flights + 1,
    delayed: state.delayed + (delay > 15 ? 1 : 0),
    totalDelay: state.totalDelay + delay,
  }),
});
