/** The faults on the wire that are on just now: stretches of requests, each with a chance for every one of them. */
import type { Fault } from "../support/faulty-proxy.ts";
import { SeededRandomness } from "../support/seeded-randomness.ts";
import type { Step, WireKind } from "./plan.ts";

type WireStep = Extract<Step, { readonly kind: WireKind }>;

interface Stretch {
  readonly step: WireStep;
  readonly random: SeededRandomness;
  requestsLeft: number;
}

/** Faults that only some operations can have. */
const OPERATIONS: Readonly<Partial<Record<WireKind, readonly string[]>>> = {
  partial: ["BatchGetItem", "BatchWriteItem"],
};

export class Weather {
  private readonly stretches = new Set<Stretch>();
  private readonly hit: (kind: WireKind) => void;

  /** @param hit told of each request that a fault meets */
  constructor(hit: (kind: WireKind) => void) {
    this.hit = hit;
  }

  begin(step: WireStep): void {
    this.stretches.add({ step, random: new SeededRandomness(step.seed), requestsLeft: step.requests });
  }

  calm(): void {
    this.stretches.clear();
  }

  /** One fault a request at most: that of the stretch that began first. */
  readonly faultOf = (operation: string, body: Record<string, unknown>): Fault | undefined => {
    let found: Fault | undefined;
    for (const stretch of this.stretches) {
      const { kind, share } = stretch.step;
      if (OPERATIONS[kind]?.includes(operation) === false || (kind === "partial" && !hasTwo(body))) continue;
      stretch.requestsLeft -= 1;
      if (stretch.requestsLeft <= 0) this.stretches.delete(stretch);
      if (found !== undefined || stretch.random.fraction() >= share) continue;
      this.hit(kind);
      found = faultOf(stretch);
    }
    return found;
  };
}

function faultOf({ step: { kind, delayMsMax }, random }: Stretch): Fault {
  if (kind === "delay") return { delayMs: Math.ceil(random.fraction() * delayMsMax) };
  if (kind === "late-duplicate") return { againMs: Math.ceil(random.fraction() * delayMsMax) };
  return kind;
}

/** A batch of one has no half. */
function hasTwo({ RequestItems: asked }: Record<string, unknown>): boolean {
  const tables = Object.values((asked ?? {}) as Record<string, unknown[] | { readonly Keys: unknown[] }>);
  return tables.some((table) => (Array.isArray(table) ? table : table.Keys).length > 1);
}
