import { describe, expect, test } from "vitest";
import { fileEvents } from "../../../shared/source/file/file-events.ts";
import { UnreadableRow } from "../../../shared/source/file/unreadable-row.ts";

const options = { integers: "exact" } as const;
const recordOf = (payload: unknown) => ({ position: "000000000001", itemIdentifier: "000000000001", payload });
const delivered = (payload: unknown) =>
  fileEvents.parse(fileEvents.toEvent({ split: "a.parquet", records: [recordOf(payload)] })).records;

describe("a row of which a value cannot be read", () => {
  const row = new UnreadableRow("event.x is NaN. Write null.", { id: 7, x: "NaN" });

  test("is refused when it is decoded, in the words of its reader", () => {
    expect(() => fileEvents.decode(recordOf(row), options)).toThrow("event.x is NaN. Write null.");
  });

  test("comes through an event and a dead letter as itself", () => {
    expect(delivered(row)).toEqual([recordOf(row)]);
    const dumped = JSON.parse(JSON.stringify(fileEvents.dump(recordOf(row))));
    expect(dumped).toEqual({ unreadable: row.why, row: row.row });
    expect(fileEvents.undump(dumped)).toEqual(row);
    expect(fileEvents.undump(dumped)).toBeInstanceOf(UnreadableRow);
  });
});

test("a line that is no UTF-8 comes through an event and a dead letter as its bytes, and is refused when it is decoded", () => {
  const line = Buffer.from('{"user":"K\xf6ln"}', "latin1");
  expect(delivered(line)).toEqual([recordOf(line)]);
  const dumped = JSON.parse(JSON.stringify(fileEvents.dump(recordOf(line))));
  expect(dumped).toEqual({ base64: line.toString("base64") });
  expect(fileEvents.undump(dumped)).toEqual(line);
  expect(() => fileEvents.decode(recordOf(line), options)).toThrow(/Byte 10 of the record \(0xF6/);
});

test("a line's text is what a dead letter holds, as older letters do", () => {
  expect(fileEvents.dump(recordOf('{"n":1}'))).toBe('{"n":1}');
  expect(fileEvents.undump('{"n":1}')).toBe('{"n":1}');
  expect(fileEvents.undump({ n: 1, base64: "eA==" })).toEqual({ n: 1, base64: "eA==" });
});

test.each([{ unreadable: "no", row: { a: 1 } }, { base64: "eA==" }])(
  "a row that looks like something else (%j) is a row all the same",
  (row) => {
    const dumped = JSON.parse(JSON.stringify(fileEvents.dump(recordOf(row))));
    expect(fileEvents.undump(dumped)).toEqual(row);
    expect(delivered(row)).toEqual([recordOf(row)]);
    expect(fileEvents.decode(recordOf(row), options)).toEqual(row);
  },
);
