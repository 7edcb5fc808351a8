import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { deletedMarkerOf, encodeManifest, totalsOf } from "../../../shared/checkpoint/manifest.ts";
import { parseCheckpointObject, parseManifest } from "../../../shared/checkpoint/parse-manifest.ts";

const golden = await readFile(new URL("../../golden/manifest-format-1.json", import.meta.url), "utf8");
const PLACE = { app: "flights", n: 7 };
const altered = (change: object): string => JSON.stringify({ ...JSON.parse(golden), ...change });

describe("a manifest", () => {
  test("of format 1 is read by today's code, and written the same", () => {
    const manifest = parseManifest(golden, PLACE);
    expect(manifest).toEqual(JSON.parse(golden));
    expect(JSON.parse(Buffer.from(encodeManifest(manifest)).toString("utf8"))).toEqual(JSON.parse(golden));
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
