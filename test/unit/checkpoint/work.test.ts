import { describe, expect, test } from "vitest";
import { handOut, type Work, type WorkAnswer, type WorkRequest } from "../../../shared/checkpoint/work.ts";
import { TidemarkError } from "../../../shared/errors.ts";

const MINUTE_MS = 60_000;
const SLICE: Work = { work: "snapshot", checkpoint: 7, token: "t", function: "log", slice: 3 };
const PART: Work = {
  ...{ work: "check", checkpoint: 7, token: "t", stateVersionMax: 1 },
  file: { name: "log-0.json.gz", function: "log", items: 1, bytes: 1, sha256: "" },
};

/** A worker that answers, or throws, one after the other; the last one again and again. */
class Worker {
  readonly asked: WorkRequest[] = [];
  readonly slept: number[] = [];
  nowMs = 1_000;
  readonly #answers: readonly (WorkAnswer["outcome"] | Error)[];
  readonly #takesMs: number;

  constructor(answers: readonly (WorkAnswer["outcome"] | Error)[], takesMs = 0) {
    this.#answers = answers;
    this.#takesMs = takesMs;
  }

  handOut(
    work: Work,
    { forMs = MINUTE_MS, signal }: { forMs?: number; signal?: AbortSignal } = {},
  ): Promise<WorkAnswer> {
    const sleep = async (ms: number): Promise<void> => {
      this.slept.push(ms);
      this.nowMs += ms;
    };
    return handOut((request) => this.#answer(request), work, {
      clock: { now: () => this.nowMs, sleep },
      randomness: { fraction: () => 0.5, token: () => "" },
      untilMs: this.nowMs + forMs,
      ...(signal === undefined ? {} : { signal }),
    });
  }

  async #answer(request: WorkRequest): Promise<WorkAnswer> {
    const answer = this.#answers[Math.min(this.asked.length, this.#answers.length - 1)];
    this.asked.push(request);
    this.nowMs += this.#takesMs;
    if (answer instanceof Error || answer === undefined) throw answer;
    return { outcome: answer };
  }
}

const died = new TidemarkError("retry", "it died");

describe("a piece of work", () => {
  test("is given out for two minutes at a time, or for what is left", async () => {
    const worker = new Worker(["unfinished", "unfinished", "done"], 2 * MINUTE_MS);
    expect(await worker.handOut(SLICE, { forMs: 5 * MINUTE_MS })).toEqual({ outcome: "done" });
    expect(worker.asked).toEqual([2, 2, 1].map((minutes) => ({ ...SLICE, milliseconds: minutes * MINUTE_MS })));
    expect(worker.slept).toEqual([]);
  });

  test("is not given out once the time is up, or another piece failed", async () => {
    const late = new Worker(["done"]);
    expect(await late.handOut(SLICE, { forMs: 0 })).toEqual({ outcome: "unfinished" });
    const failed = new Worker(["done"]);
    expect(await failed.handOut(SLICE, { signal: AbortSignal.abort() })).toEqual({ outcome: "unfinished" });
    expect([...late.asked, ...failed.asked]).toEqual([]);
    expect(await failed.handOut(SLICE, { signal: new AbortController().signal })).toEqual({ outcome: "done" });
  });

  test("that comes back early and unfinished is given out again after a moment, until the time is up", async () => {
    const worker = new Worker(["unfinished"], 199);
    expect(await worker.handOut(SLICE, { forMs: 600 })).toEqual({ outcome: "unfinished" });
    expect(worker.asked.map(({ milliseconds }) => milliseconds)).toEqual([600, 201]);
    expect(worker.slept).toEqual([200, 200]);
    const slower = new Worker(["unfinished"], 200);
    await slower.handOut(SLICE, { forMs: 600 });
    expect(slower.slept).toEqual([]);
  });

  test.each(["superseded", "image-gone"] as const)("that is %s is not given out again", async (outcome) => {
    const worker = new Worker([outcome]);
    expect(await worker.handOut(SLICE)).toEqual({ outcome });
    expect(worker.asked).toHaveLength(1);
  });
});

describe("a worker that dies", () => {
  test("is followed by another, after longer and longer, and given up after six in a row", async () => {
    for (const [work, what] of [
      [SLICE, "snapshot of slice 3 of function log"],
      [PART, "check of part log-0.json.gz"],
    ] as const) {
      const worker = new Worker([died]);
      await expect(worker.handOut(work)).rejects.toMatchObject({
        ...{ kind: "retry", cause: died },
        message: expect.stringContaining(`The ${what} (checkpoint 7) failed 6 times in a row`),
      });
      expect(worker.slept).toEqual([200, 400, 800, 1_600, 3_200]);
    }
  });

  test("counts afresh after one that did not", async () => {
    const worker = new Worker([died, died, died, "unfinished", died, died, died, died, died, "done"], 200);
    expect(await worker.handOut(SLICE)).toEqual({ outcome: "done" });
    expect(worker.slept).toEqual([200, 400, 800, 200, 400, 800, 1_600, 3_200]);
  });

  test("of any other error is a death as well, but what it refuses is not", async () => {
    expect(await new Worker([new Error("socket hang up"), "done"]).handOut(SLICE)).toEqual({ outcome: "done" });
    const refusal = new TidemarkError("choose-another-checkpoint", "the part is damaged");
    const worker = new Worker([refusal, "done"]);
    await expect(worker.handOut(PART)).rejects.toBe(refusal);
    expect(worker.asked).toHaveLength(1);
  });
});
