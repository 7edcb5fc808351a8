/**
 * A bad deploy of on-time, for trying a restore on: it has the same name and the same shape of state, so nothing
 * refuses it, and every number it writes is wrong. Delays are taken for hours, and flights count twice.
 */
import { defineFunction } from "../../shared/index.ts";
import { onTime } from "./on-time.ts";

export const buggyOnTime = defineFunction({
  ...onTime,
  handle: async (state, flight, context) => {
    const next = await onTime.handle(state, { ...flight, delay: flight.delay * 60 }, context);
    return next === null ? null : { ...next, flights: next.flights + 1 };
  },
});
