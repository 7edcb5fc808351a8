import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { deletedMarkerOf, encodeManifest, totalsOf } from "../../../shared/checkpoint/manifest.ts";
import { parseCheckpointObject, parseManifest, readManifest } from "../../../shared/checkpoint/parse-manifest.ts";
import { MemoryCheckpointStorage } from "../../../shared/storage/memory/memory-storage.ts";

const golden = await readFile(new URL("../../golden/manifest-format-1.json", import.meta.url), "utf8");
const AT = "2026-02-01T00:00:00.000Z";
const PLACE = { app: "flights", n: 7 };
const altered = (change: object): string => JSON.stringify({ ...JSON.parse(golden), ...change });

const sealed = await readFile(new URL("../../golden/formats/sealed-manifest-1.json", import.meta.url), "utf8");

describe("a manifest with a checksum", () => {
  test("is read by today's code, and written to the letter", () => {
    const manifest = parseManifest(sealed, PLACE);
    expect(manifest).toEqual(parseManifest(golden, PLACE));
    expect(Buffer.from(encodeManifest(manifest)).toString("utf8")).toBe(sealed);
  });

  test("of which any one bit was flipped is refused, or says the same", () => {
    const manifest = parseManifest(sealed, PLACE);
    const bytes = Buffer.from(sealed);
    let refused = 0;
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const altered = Buffer.from(bytes);
      altered[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
      try {
        expect(parseManifest(altered.toString("utf8"), PLACE)).toEqual(manifest);
      } catch (thrown) {
        expect(thrown).toMatchObject({ kind: "choose-another-checkpoint" });
        refused += 1;
      }
    }
    expect(refused).toBeGreaterThan(bytes.length * 7);
  });

  test("still holds when it was only formatted anew", () => {
    expect(parseManifest(JSON.stringify(JSON.parse(sealed), null, 4), PLACE)).toEqual(parseManifest(sealed, PLACE));
  });

  test("whose position was altered is refused, saying that it was", () => {
    const json = JSON.parse(sealed);
    json.functions[0].splits[0].position += "1";
    expect(() => parseManifest(JSON.stringify(json), PLACE)).toThrow("its checksum is another, so it was altered");
  });
});

describe("a manifest", () => {
  test("of format 1 is read by today's code, and written the same", () => {
    const manifest = parseManifest(golden, PLACE);
    expect(manifest).toEqual(JSON.parse(golden));
    const { sha256, ...written } = JSON.parse(Buffer.from(encodeManifest(manifest)).toString("utf8"));
    expect(written).toEqual(JSON.parse(golden));
    expect(sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(totalsOf(manifest)).toEqual({ keys: 2, bytes: 123, holes: 3 });
  });

  test.each([
    ["cut short", golden.slice(0, 200), "cut short"],
    ["of another app", altered({ app: "trains" }), '"trains"'],
    ["of a newer format", altered({ formatVersion: 2 }), "format version 2"],
    ["of another kind of file", altered({ format: "x" }), "not a manifest"],
    ["of another number", altered({ checkpoint: 8 }), "checkpoint 8"],
    [
      "naming a file outside its folder",
      altered({ files: [{ name: "../../x", function: "on-time", items: 2, bytes: 1, sha256: "0".repeat(64) }] }),
      "../../x",
    ],
    ["whose counts differ", altered({ files: [] }), "0 keys of on-time"],
    ["without positions", altered({ functions: [{ name: "on-time" }] }), "stateVersion"],
    ["of an unknown mode", altered({ mode: "sometimes" }), "mode"],
    ["with a bad generation", altered({ generation: 0 }), "generation"],
  ])("%s is refused, saying why and what to do", (_what, text, why) => {
    expect(() => parseManifest(text, PLACE)).toThrow(
      expect.objectContaining({ kind: "choose-another-checkpoint", message: expect.stringContaining(why) }),
    );
    expect(() => parseManifest(text, PLACE)).toThrow("hoose another checkpoint");
  });

  test.each<[string, unknown, string]>([
    ["functions", {}, "it.functions is not a list"],
    ["functions.0", [], "it.functions[0] is not an object"],
    ["functions.0", null, "it.functions[0] is not an object"],
    ["functions.0", "on-time", "it.functions[0] is not an object"],
    ["functions.0.name", 7, "it.functions[0].name is not a string"],
    ["functions.0.source", undefined, "it.functions[0].source is not a string"],
    ["functions.0.stateVersion", 0, "it.functions[0].stateVersion is not a whole number of at least 1"],
    ["functions.0.stateVersion", 1.5, "it.functions[0].stateVersion is not a whole number of at least 1"],
    ["functions.0.stateVersion", "1", "it.functions[0].stateVersion is not a whole number of at least 1"],
    ["functions.0.keys", -1, "it.functions[0].keys is not a whole number of at least 0"],
    ["functions.0.keys", 1, "its files hold 2 keys of on-time, and it counts 1"],
    ["functions.0.splits.0.ended", "yes", "it.functions[0].splits[0].ended is not true or false"],
    ["functions.0.splits.0.split", 7, "it.functions[0].splits[0].split is not a string"],
    ["functions.0.splits.0.position", 7, "it.functions[0].splits[0].position is not a string"],
    ["functions.0.splits.0.freshAt", "lately", "it.functions[0].splits[0].freshAt is not a time"],
    ["functions.0.splits.0.holes.0.cause", "lost", "it.functions[0].splits[0].holes[0].cause is unknown"],
    ["functions.0.splits.0.holes.0.from", 7, "it.functions[0].splits[0].holes[0].from is not a string"],
    ["functions.0.splits.0.holes.0.to", 7, "it.functions[0].splits[0].holes[0].to is not a string"],
    ["functions.0.splits.0.holes.0.records", -1, "it.functions[0].splits[0].holes[0].records is not a whole number"],
    ["functions.0.splits.0.holes.1.after", 7, "it.functions[0].splits[0].holes[1].after is not a string"],
    ["functions.0.splits.0.holes.2.before", 7, "it.functions[0].splits[0].holes[2].before is not a string"],
    ["files.0.sha256", `${"0".repeat(65)}`, "it.files[0].sha256 is not a SHA-256 in hexadecimal"],
    ["files.0.sha256", `x${"0".repeat(64)}`, "it.files[0].sha256 is not a SHA-256 in hexadecimal"],
    ["files.0.function", 7, "it.files[0].function is not a string"],
    ["files.0.items", -1, "it.files[0].items is not a whole number of at least 0"],
    ["files.0.bytes", -1, "it.files[0].bytes is not a whole number of at least 0"],
    ["functions.0.splits.0.position", "", "a hole of split"],
    ["functions.0.splits.0.holes.0.to", "\uffff", "a hole of split"],
    ["functions.1", JSON.parse(golden).functions[0], "it names a function twice"],
    ["functions.0.splits.1", JSON.parse(golden).functions[0].splits[0], "it names a split of on-time twice"],
    ["files.1", JSON.parse(golden).files[0], "it names a file twice"],
    ["files.0.function", "gone", "is of gone, which it does not name"],
    ["checkpoint", 0, "it.checkpoint is not a whole number of at least 1"],
    ["formatVersion", 0, "it.formatVersion is not a whole number of at least 1"],
    ["token", 7, "it.token is not a string"],
    ["kind", "note", 'its kind is "note"'],
    ["restoredFrom", 7, "it.restoredFrom is not an object"],
    ["restoredFrom.generation", 0, "it.restoredFrom.generation is not a whole number of at least 1"],
    ["restoredFrom.checkpoint", 0, "it.restoredFrom.checkpoint is not a whole number of at least 1"],
    ["savepoint", 7, "it.savepoint is not a string"],
    ["triggeredAt", "lately", "it.triggeredAt is not a time"],
    ["completedAt", "lately", "it.completedAt is not a time"],
  ])("whose %s is %j is refused by name", (member, value, flaw) => {
    const json = JSON.parse(golden);
    const names = member.split(".");
    const last = names.pop() as string;
    names.reduce((within, name) => within[name], json)[last] = value;
    expect(() => parseManifest(JSON.stringify(json), PLACE)).toThrow(flaw);
  });

  test("of more than one function counts the keys of each, also none", () => {
    const json = JSON.parse(golden);
    const [onTime] = json.functions;
    json.functions.push({ ...onTime, name: "late", keys: 0 });
    json.files.push({ ...json.files[0], name: "late-0", function: "late", items: 0, bytes: 0 });
    expect(parseManifest(JSON.stringify(json), PLACE)).toEqual(json);
    json.files[1].items = 1;
    expect(() => parseManifest(JSON.stringify(json), PLACE)).toThrow("its files hold 1 keys of late, and it counts 0");
  });

  test("of the other mode, of no savepoint and of no other origin is read the same", () => {
    const { restoredFrom: _, savepoint: __, ...plain } = JSON.parse(golden);
    const json = { ...plain, mode: "at-least-once", generation: 1 };
    expect(parseManifest(JSON.stringify(json), PLACE)).toStrictEqual(json);
  });

  test("that was aborted is a marker, which no restore takes", () => {
    const { format, formatVersion, app, checkpoint, token, generation } = JSON.parse(golden);
    const marker = { format, formatVersion, app, checkpoint, token, generation, kind: "aborted", reason: "no", at: AT };
    expect(parseCheckpointObject(JSON.stringify(marker), PLACE)).toStrictEqual(marker);
    expect(() => parseManifest(JSON.stringify(marker), PLACE)).toThrow(`it was aborted at ${AT} (no)`);
    for (const flaw of [{ reason: 7 }, { at: "lately" }]) {
      expect(() => parseCheckpointObject(JSON.stringify({ ...marker, ...flaw }), PLACE)).toThrow("is not a");
    }
  });

  test("that was deleted is a marker, with or without its positions", () => {
    const manifest = parseManifest(golden, PLACE);
    for (const keepPositions of [true, false]) {
      const marker = deletedMarkerOf(manifest, { at: AT, keepPositions });
      expect(parseCheckpointObject(JSON.stringify(marker), PLACE)).toStrictEqual(marker);
      for (const flaw of [{ completedAt: 7 }, { at: "lately" }, { functions: 7 }]) {
        expect(() => parseCheckpointObject(JSON.stringify({ ...marker, ...flaw }), PLACE)).toThrow("is not a");
      }
    }
  });

  test("that is not there is refused, saying where it should be", async () => {
    const reading = readManifest(new MemoryCheckpointStorage(), PLACE);
    await expect(reading).rejects.toMatchObject({
      ...{ kind: "choose-another-checkpoint", message: expect.stringContaining("no manifest at chk-0000000007/") },
    });
  });

  test("leaves a marker that keeps its positions only where they are asked for", () => {
    const manifest = parseManifest(golden, PLACE);
    const options = { at: "2026-02-01T00:00:00.000Z", keepPositions: true };
    const marker = deletedMarkerOf(manifest, options);
    expect(parseCheckpointObject(Buffer.from(encodeManifest(marker)).toString(), PLACE)).toEqual(marker);
    expect(marker.functions?.[0]?.splits[0]).toMatchObject({ position: expect.stringMatching(/42$/), holes: [] });
    expect(deletedMarkerOf(manifest, { ...options, keepPositions: false })).not.toHaveProperty("functions");
    expect(() => parseManifest(Buffer.from(encodeManifest(marker)).toString(), PLACE)).toThrow("retention deleted it");
  });
});
