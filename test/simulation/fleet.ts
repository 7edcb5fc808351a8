/** The workers of a deployment's coordinators: each piece of work is an invocation of its own, which may die or stall. */
import type { Workers, WorkRequest } from "../../shared/checkpoint/work.ts";
import { createWorkerHandler } from "../../shared/runtime/worker-handler.ts";
import type { Invocations } from "./invocations.ts";
import type { Process } from "./process.ts";
import type { Scene } from "./scene.ts";
import { MINUTE_MS } from "./setup.ts";

const WORK = { snapshot: "a worker takes a slice", check: "a worker checks a part", load: "a worker loads a part" };

/** Short enough that some stop in the middle of a piece. */
const LIVES_MS = [15 * MINUTE_MS, 15 * MINUTE_MS, 8] as const;

export class Fleet {
  readonly #scene: Scene;
  readonly #invocations: Invocations;
  readonly #count: number;
  /** What is being worked on, by whom. */
  readonly #pieces = new Map<string, Process[]>();

  constructor(scene: Scene, invocations: Invocations, count: number) {
    this.#scene = scene;
    this.#invocations = invocations;
    this.#count = count;
  }

  open(caller: Process): Workers {
    return { count: this.#count, invoke: (request) => this.#invoke(caller, request) };
  }

  #invoke(caller: Process, request: WorkRequest) {
    const { choices, coverage, faultless } = this.#scene;
    coverage.hit(WORK[request.work]);
    const { milliseconds: _, ...piece } = request;
    const name = JSON.stringify(piece);
    const lifeMs = faultless ? LIVES_MS[0] : (LIVES_MS[choices.below(LIVES_MS.length)] as number);
    return this.#invocations.call({ caller, kind: "W", what: `works for ${caller.name}: ${name}` }, (worker) => {
      const others = (this.#pieces.get(name) ?? []).filter(({ dead }) => !dead);
      if (others.length > 0) coverage.hit("two workers with one piece");
      this.#pieces.set(name, [...others, worker]);
      const work = createWorkerHandler(this.#invocations.resources(worker));
      return work(request, { deadlineMs: this.#scene.nowMs + lifeMs });
    });
  }
}
