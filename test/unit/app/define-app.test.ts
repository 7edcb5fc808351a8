import { describe, expect, it } from "vitest";
import { z } from "zod";
import { type AppDefinition, defineApp, isApp } from "../../../shared/app/define-app.ts";
import { decodingOf, sourceUrls } from "../../../shared/app/source-options.ts";
import { defineFunction } from "../../../shared/function/define-function.ts";

function functionOf(name: string, previousName?: string) {
  return defineFunction({
    name,
    ...(previousName === undefined ? {} : { previousName }),
    event: z.string(),
    key: (text) => text,
    state: { initial: () => 0 },
    handle: (count) => count + 1,
  });
}

const clicks = { function: functionOf("clicks"), source: "web" };
const visits = { function: functionOf("visits"), source: "web-logs" };
const valid: AppDefinition = { name: "site", functions: [clicks, visits] };

/** What JavaScript, or a cast, can hand over. */
function refusal(options: unknown): { readonly kind: unknown; readonly message: string } {
  try {
    defineApp(options as AppDefinition);
  } catch (thrown) {
    return thrown as { kind: unknown; message: string };
  }
  throw new Error("Nothing was refused.");
}

const checkpointing = (options: object) => ({ ...valid, checkpointing: options });
const deadLetters = (options: object) => ({ ...valid, deadLetters: options });
const sources = (places: unknown) => ({ ...valid, sources: places });
const startFrom = (start: unknown) => ({ ...valid, functions: [{ ...clicks, startFrom: start }] });
const functions = (...list: unknown[]) => ({ ...valid, functions: list });

describe("defineApp", () => {
  it("returns a frozen app with what was given, and leaves the options as they are", () => {
    const options: AppDefinition = {
      name: "site",
      functions: [
        { ...clicks, startFrom: new Date(0) },
        { ...visits, startFrom: "earliest" },
      ],
      sources: { web: "data/*.jsonl" },
      checkpointing: { intervalMs: 1, mode: "at-least-once", timeoutMs: 1, retained: 1 },
      deadLetters: { triesMax: 1, maxConsecutiveDeadLetters: 1 },
    };
    const app = defineApp(options);
    expect(app).toEqual(options);
    for (const part of [app, app.functions, ...app.functions, app.sources, app.checkpointing, app.deadLetters]) {
      expect(Object.isFrozen(part)).toBe(true);
    }
    expect(Object.isFrozen(options) || Object.isFrozen(options.functions)).toBe(false);
  });

  it("takes options of a source in the place of its path", () => {
    const options = { web: { url: "data/*.jsonl", integers: "text" }, "web-logs": { integers: "refuse" } } as const;
    const app = defineApp(sources(options) as AppDefinition);
    expect(app.sources).toEqual(options);
    expect(Object.isFrozen(app.sources?.web) && !Object.isFrozen(options.web)).toBe(true);
    expect(sourceUrls(app)).toEqual({ web: "data/*.jsonl" });
    expect([decodingOf(app, "web"), decodingOf(app, "web-logs"), decodingOf(app, "constructor")]).toEqual([
      { integers: "text" },
      { integers: "refuse" },
      { integers: "exact" },
    ]);
  });

  it("takes an app apart and together again", () => {
    const app = defineApp(valid);
    expect(defineApp({ ...app, name: "other" })).toEqual({ ...valid, name: "other" });
  });
});

describe("isApp", () => {
  it("knows what defineApp made, by this or another copy of the module", () => {
    const app = defineApp(valid);
    expect(isApp(app)).toBe(true);
    expect(Object.getOwnPropertySymbols(app)).toEqual([Symbol.for("tidemark.app")]);
  });

  it.each([
    ["options that were never checked", valid],
    ["a copy of an app", { ...defineApp(valid) }],
    ["a module", { default: defineApp(valid) }],
    ["nothing", undefined],
    ["null", null],
    ["text", "app"],
  ])("refuses %s", (_, value) => {
    expect(isApp(value)).toBe(false);
  });
});

describe("defineApp refuses, saying what was given, what is allowed and the way out", () => {
  it.each<[string, unknown, string]>([
    [
      "what is no object",
      [],
      "The app is an array; it must be an object with the options name, functions, sources, checkpointing, deadLetters.",
    ],
    [
      "a misspelt option",
      { ...valid, checkpoints: {} },
      'The app has no option "checkpoints"; its options are name, functions, sources, checkpointing, deadLetters. Did you mean checkpointing?',
    ],
    [
      "a name of other characters",
      { ...valid, name: "my site" },
      'The app\'s name is "my site"; it must be 1 to 64 of the characters A-Z, a-z, 0-9, "-" and "_".',
    ],
    ["no name", { functions: valid.functions }, "The app's name is undefined; it must be 1 to 64"],
    ["no functions", { name: "site" }, "The app's functions are undefined; there must be a list of at least one."],
    [
      "an empty list of functions",
      functions(),
      'The app\'s functions are an empty list; there must be a list of at least one. Give functions: [{ function: onTime, source: "flights" }].',
    ],
    [
      "a function without its source around it",
      functions(clicks.function),
      'functions[0] has no option "name"; its options are function, source, startFrom.',
    ],
    [
      "a function that fails defineFunction's checks",
      functions({ source: "web", function: { ...clicks.function, key: 1 } }),
      "key of function clicks is 1; it must be a function (event) => string.",
    ],
    [
      "what is no function at all",
      functions(clicks, { source: "web" }),
      "A function is undefined; it must be an object with the options name,",
    ],
    [
      "no source",
      functions({ function: clicks.function }),
      'The source of function clicks is undefined; it must be 1 to 64 of the characters A-Z, a-z, 0-9, "-" and "_".',
    ],
    [
      "an empty source",
      functions({ ...clicks, source: "" }),
      'The source of function clicks is ""; it must be 1 to 64',
    ],
    [
      "a misspelt option of a binding",
      functions({ ...clicks, startFrm: "earliest" }),
      'functions[0] has no option "startFrm"; its options are function, source, startFrom. Did you mean startFrom?',
    ],
    [
      "a start that is text",
      startFrom("2026-01-01"),
      'startFrom of function clicks is "2026-01-01"; it must be "earliest" or a valid Date. Give new Date("2026-01-31T00:00:00Z"), or leave it out.',
    ],
    [
      "a start that is an invalid Date",
      startFrom(new Date("soon")),
      "startFrom of function clicks is an invalid Date; it must be",
    ],
    [
      "two functions of one name",
      functions(clicks, { ...clicks, source: "other" }),
      'Two functions are named "clicks"; each function must have a name of its own, since its state is kept under it. Rename one.',
    ],
    [
      "a previousName that another function has for its name",
      functions(clicks, { function: functionOf("taps", "clicks"), source: "web" }),
      'previousName of function taps is "clicks", but function clicks has it for its name; the state of an older checkpoint can go to one function only. Leave one of the two out.',
    ],
    [
      "one previousName for two functions",
      functions(
        { function: functionOf("taps", "hits"), source: "web" },
        { function: functionOf("views", "hits"), source: "web" },
      ),
      'previousName of function views is "hits", but function taps has it for its previousName;',
    ],
    [
      "sources that are text",
      sources("data/*.jsonl"),
      'The app\'s sources are "data/*.jsonl"; they must be an object of places, or of options, by the names of sources: { "web": "data/*.jsonl" }. The functions read web, web-logs.',
    ],
    [
      "a source that no function reads",
      sources({ web: "a.jsonl", "web-log": "b.jsonl" }),
      'sources names "web-log", which no function reads. The functions read web, web-logs. Did you mean web-logs?',
    ],
    [
      "a source like no other",
      sources({ payments: "b.jsonl" }),
      'sources names "payments", which no function reads. The functions read web, web-logs. Remove it.',
    ],
    [
      "an empty place",
      sources({ web: "" }),
      'sources["web"] is ""; it must be a path or glob of files ("data/*.jsonl") or "kinesis:STREAM".',
    ],
    ["a place that is no text", sources({ web: ["a.jsonl"] }), 'sources["web"] is an array; it must be a path'],
    ["an empty url", sources({ web: { url: "" } }), 'sources["web"].url is ""; it must be a path or glob of files'],
    [
      "a misspelt option of a source",
      sources({ web: { url: "a.jsonl", integer: "text" } }),
      'sources["web"] has no option "integer"; its options are url, integers, decode. Did you mean integers?',
    ],
    [
      "another word for integers",
      sources({ web: { integers: "string" } }),
      'sources["web"].integers is "string"; it must be "exact" (integers beyond 2^53 are BigInts), "text" (they are text) or "refuse" (their records are dead letters).',
    ],
    [
      "a decode that is none",
      sources({ web: { decode: "kpl" } }),
      'sources["web"].decode is "kpl"; it must be a function (bytes, record) => events.',
    ],
    [
      "a misspelt option of checkpointing",
      checkpointing({ intervallMs: 60_000 }),
      'checkpointing has no option "intervallMs"; its options are intervalMs, mode, timeoutMs, retained. Did you mean intervalMs?',
    ],
    [
      "checkpointing that is a number",
      { ...valid, checkpointing: 60_000 },
      "checkpointing is 60000; it must be an object with the options intervalMs, mode, timeoutMs, retained.",
    ],
    [
      "an interval of 0",
      checkpointing({ intervalMs: 0 }),
      "checkpointing.intervalMs is 0; it must be a whole number of milliseconds, at least 1 and at most 604,800,000. Give one, or leave the option out for its default.",
    ],
    [
      "an interval of NaN",
      checkpointing({ intervalMs: Number.NaN }),
      "checkpointing.intervalMs is NaN; it must be a whole number of milliseconds",
    ],
    [
      "an interval that is text",
      checkpointing({ intervalMs: "1m" }),
      'checkpointing.intervalMs is "1m"; it must be a whole number of milliseconds',
    ],
    [
      "an endless timeout",
      checkpointing({ timeoutMs: Number.POSITIVE_INFINITY }),
      "checkpointing.timeoutMs is Infinity; it must be a whole number of milliseconds",
    ],
    [
      "half a millisecond",
      checkpointing({ timeoutMs: 0.5 }),
      "checkpointing.timeoutMs is 0.5; it must be a whole number of milliseconds",
    ],
    [
      "none retained",
      checkpointing({ retained: 0 }),
      "checkpointing.retained is 0; it must be a whole number of checkpoints, at least 1 and at most 1,000.",
    ],
    ["an interval past any timer", checkpointing({ intervalMs: 2 ** 31 }), "at most 604,800,000"],
    ["a time-out past any timer", checkpointing({ timeoutMs: Number.MAX_SAFE_INTEGER }), "at most 604,800,000"],
    ["more retained than an item holds", checkpointing({ retained: 1_001 }), "at most 1,000."],
    ["tries without end", deadLetters({ triesMax: 1_001 }), "at most 1,000."],
    ["a limit that is none", deadLetters({ maxConsecutiveDeadLetters: 1e15 }), "at most 1,000,000."],
    [
      "an unknown mode",
      checkpointing({ mode: "exactly once" }),
      'checkpointing.mode is "exactly once"; it must be "exactly-once" or "at-least-once". Give one of them, or leave it out for "exactly-once".',
    ],
    [
      "no tries",
      deadLetters({ triesMax: 0 }),
      "deadLetters.triesMax is 0; it must be a whole number of tries, at least 1 and at most 1,000.",
    ],
    [
      "a negative limit",
      deadLetters({ maxConsecutiveDeadLetters: -1 }),
      "deadLetters.maxConsecutiveDeadLetters is -1; it must be a whole number of records, at least 1 and at most 1,000,000.",
    ],
    [
      "a misspelt option of dead letters",
      deadLetters({ tryMax: 3 }),
      'deadLetters has no option "tryMax"; its options are triesMax, maxConsecutiveDeadLetters. Did you mean triesMax?',
    ],
  ])("%s", (_, options, message) => {
    const refused = refusal(options);
    expect(refused.message).toContain(message);
    expect(refused.kind).toBe("fix-configuration");
  });
});
