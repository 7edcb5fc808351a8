/** What a call of a history reads and writes: which calls see each other, and which come to the same in either order. */
import type { ItemKey } from "../../shared/control/control-store.ts";
import type { StateScope } from "../../shared/state/state-backend.ts";
import type { StateItem } from "../../shared/state/state-item.ts";
import type { Call } from "./scheduler.ts";

export interface Footprint {
  /** It sees what is written at a place that begins with one of these. */
  readonly reads: readonly string[];
  readonly writes: string | undefined;
  /** It goes with nothing else: time passes. */
  readonly everything: boolean;
}

const reading = (...reads: string[]): Footprint => ({ reads, writes: undefined, everything: false });
/** A conditional write sees what it is written over. */
const writing = (place: string): Footprint => ({ reads: [place], writes: place, everything: false });

export function footprintOf({ method, first, second }: Call): Footprint {
  switch (method.store) {
    case "clock":
    case "mapping":
      return { reads: [], writes: undefined, everything: true };
    case "source":
      // Nothing arrives, closes or expires while one is explored.
      return reading();
    case "control":
      if (method.name === "list") return reading(`control ${first as string}/`);
      return (method.writes ? writing : reading)(controlPlace(first as ItemKey));
    case "storage":
      return (method.writes ? writing : reading)(`storage ${first as string}`);
    case "state":
      return stateFootprint(method.name, first, second);
  }
}

const controlPlace = ({ partition, sort }: ItemKey): string => `control ${partition}/${sort}`;

function stateFootprint(name: string, first: unknown, second: unknown): Footprint {
  switch (name) {
    case "load":
      return reading(...(second as readonly string[]).map((key) => statePlace((first as StateScope).generation, key)));
    case "write":
      return writing(statePlace((first as StateItem).generation, (first as StateItem).key));
    case "remove":
      return writing(statePlace((first as StateScope).generation, second as string));
    case "scan":
      return reading(`state ${(first as StateScope).generation} `);
    default:
      return { reads: [], writes: undefined, everything: true };
  }
}

const statePlace = (generation: number, key: string): string => `state ${generation} ${key}`;
