import { describe, expect, test } from "vitest";
import { isRedriveEvent } from "../../../shared/dead-letter/redrive-events.ts";
import { appendRedrive, type RedriveLetter } from "../../../shared/dead-letter/redrive-letter.ts";
import { openRedriveSource } from "../../../shared/dead-letter/redrive-source.ts";
import { DEFAULT_DECODING } from "../../../shared/source/decoding.ts";
import { fileEvents } from "../../../shared/source/file/file-events.ts";
import type { SourceRecord } from "../../../shared/source/source.ts";
import { readWhole } from "../../../shared/storage/checkpoint-storage.ts";
import { MemoryCheckpointStorage } from "../../../shared/storage/memory/memory-storage.ts";
import { redrivePath } from "../../../shared/storage/object-paths.ts";

const clock = { now: () => Date.UTC(2030, 0, 1), sleep: async () => {} };
const letter = (record: string): RedriveLetter => ({
  function: "on-time",
  split: "flights.jsonl",
  position: "000000000007-0000000000000700",
  source: "flights",
  record,
});

const open = (storage: MemoryCheckpointStorage, functionName = "on-time") =>
  openRedriveSource({ storage, functionName, original: fileEvents, clock });

async function recordsOf(storage: MemoryCheckpointStorage, functionName?: string): Promise<SourceRecord[]> {
  const records: SourceRecord[] = [];
  const read = open(storage, functionName).reader.read({ split: "redrive", after: "", pageRecords: 3, follow: false });
  for await (const page of read) records.push(...page.records);
  return records;
}

describe("a redriven dead letter", () => {
  test("is written with the moment at which it was put back, at the next number", async () => {
    const storage = new MemoryCheckpointStorage();
    expect(await appendRedrive(storage, "on-time", letter("1"), { clock })).toBe("000000000001");
    expect(await appendRedrive(storage, "on-time", letter("2"), { clock })).toBe("000000000002");
    const object = await readWhole(storage, redrivePath("on-time", "000000000002"));
    expect(JSON.parse(object?.text ?? "")).toEqual({ letter: letter("2"), redrivenAt: "2030-01-01T00:00:00.000Z" });
  });

  test("is numbered without gaps, each once, when many are put back at once, whatever number they begin after", async () => {
    const storage = new MemoryCheckpointStorage();
    const values = Array.from({ length: 20 }, (_, index) => index);
    const positions = await Promise.all(
      values.map((value) =>
        appendRedrive(
          storage,
          "on-time",
          letter(String(value)),
          value % 2 ? { clock } : { clock, after: "000000000000" },
        ),
      ),
    );
    expect([...positions].sort()).toEqual(values.map((value) => String(value + 1).padStart(12, "0")));
    const records = await recordsOf(storage);
    expect(records.map((record) => record.position)).toEqual([...positions].sort());
    const decoded = records.map((record) =>
      fileEvents.decode({ ...record, payload: (record.payload as RedriveLetter).record }, DEFAULT_DECODING),
    );
    expect(new Set(decoded)).toEqual(new Set(values));
  });

  test("belongs to its function alone", async () => {
    const storage = new MemoryCheckpointStorage();
    await appendRedrive(storage, "on-time", letter("1"), { clock });
    expect(await recordsOf(storage, "on-time-2")).toEqual([]);
  });

  test("that failed again is put back as the record it was at first", async () => {
    const storage = new MemoryCheckpointStorage();
    await appendRedrive(storage, "on-time", letter("1"), { clock });
    const [record] = (await recordsOf(storage)) as [SourceRecord];
    const { events } = open(storage);
    const again = { ...letter(""), split: "redrive", position: record.position, record: events.dump(record) };
    await appendRedrive(storage, "on-time", again, { clock });
    const records = await recordsOf(storage);
    expect(records.map((one) => one.payload)).toEqual([letter("1"), letter("1")]);
    expect(records.map((one) => events.decode(one, DEFAULT_DECODING))).toEqual([1, 1]);
  });

  test("that was damaged is an error that names the object", async () => {
    const storage = new MemoryCheckpointStorage();
    await storage.createExclusively(redrivePath("on-time", "000000000001"), Buffer.from('{"letter":'));
    await expect(recordsOf(storage)).rejects.toThrow("redrive/on-time/000000000001.json");
  });

  test("that was read and is gone makes the rest missing", async () => {
    const storage = new MemoryCheckpointStorage();
    await appendRedrive(storage, "on-time", letter("1"), { clock });
    const request = { split: "redrive", after: "000000000001", freshAtMs: 0, nowMs: 0 };
    const { reader } = open(storage);
    expect(await reader.missingAfter(request)).toBeUndefined();
    await storage.remove(redrivePath("on-time", "000000000001"));
    expect(await reader.missingAfter(request)).toContain("000000000001 is no longer in");
  });

  test("makes events that are told from those of the function's own source", async () => {
    const storage = new MemoryCheckpointStorage();
    await appendRedrive(storage, "on-time", letter("1"), { clock });
    const batch = { split: "redrive", records: await recordsOf(storage) };
    expect(isRedriveEvent(open(storage).events.toEvent(batch))).toBe(true);
    expect(isRedriveEvent(fileEvents.toEvent(batch))).toBe(false);
    expect(isRedriveEvent(undefined)).toBe(false);
  });

  test("a position of another source is refused by name", async () => {
    const { reader } = open(new MemoryCheckpointStorage());
    await expect(reader.look("redrive", "000000000001-0000000000000001")).rejects.toThrow(/is no position of redriven/);
  });
});
