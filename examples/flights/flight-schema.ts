import { z } from "zod";

/**
 * A flight, as the flights files of vega-datasets hold it.
 *
 * The JSON files write dates as "2001/01/10 18:20", readers of the Parquet file as "2001-01-10T18:20:00.000Z". Both are
 * local times at the origin, without a zone, so they stay text and become one form, which sorts by time: "2001-01-10T18:20".
 */
export const FlightSchema = z.object({
  date: z
    .string()
    .regex(/^\d{4}([/-])\d\d\1\d\d[ T]\d\d:\d\d/, 'must be a date such as "2001/01/10 18:20"')
    // An overwrite, not a transform: text stays text, and zod takes about half the time.
    .overwrite((date) => `${date.slice(0, 4)}-${date.slice(5, 7)}-${date.slice(8, 10)}T${date.slice(11, 16)}`),
  /** Minutes late; negative: early. */
  delay: z.int(),
  /** Miles. */
  distance: z.int().nonnegative(),
  /** Airports, by their three-letter codes. */
  origin: z.string().min(1),
  destination: z.string().min(1),
});

export type Flight = z.output<typeof FlightSchema>;
