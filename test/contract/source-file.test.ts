import { appendFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { systemClock } from "../../shared/environment.ts";
import { openFileSource } from "../../shared/source/file/file-source.ts";
import { writeParquet } from "../support/parquet-file.ts";
import { type SourceUnderTest, sourceContract } from "./source-contract.ts";

function fileOf(name: string, follow: boolean, write: (file: string, texts: readonly string[]) => Promise<void>) {
  return async (texts: readonly string[]): Promise<SourceUnderTest> => {
    const folder = await mkdtemp(path.join(tmpdir(), "tidemark-source-"));
    const file = path.join(folder, name);
    await write(file, texts);
    return {
      source: await openFileSource({ pattern: name, baseFolder: folder, follow, clock: systemClock }),
      split: name,
      append: (more) => appendFile(file, more.map((text) => `${text}\n`).join("")),
      dispose: () => rm(folder, { recursive: true }),
    };
  };
}

const lines = (file: string, texts: readonly string[]) => writeFile(file, texts.map((text) => `${text}\n`).join(""));

sourceContract("files, JSON lines", fileOf("flights.jsonl", false, lines), {
  ends: true,
  holdsMalformed: true,
  saysArrival: false,
});

sourceContract("files, tailed JSON lines", fileOf("flights.ndjson", true, lines), {
  ends: false,
  holdsMalformed: true,
  saysArrival: false,
});

// Parquet has columns, so a record is its text in one of them, decoded here as a user's schema would.
sourceContract(
  "files, Parquet",
  async (texts) => {
    const under = await fileOf("flights.parquet", false, (file, all) =>
      writeParquet(file, `SELECT unnest([${all.map((text) => `'${text.replaceAll("'", "''")}'`).join(", ")}]) AS text`),
    )(texts);
    const { events } = under.source;
    const decode: typeof events.decode = (record, decoding) =>
      JSON.parse((events.decode(record, decoding) as { text: string }).text);
    return { ...under, source: { ...under.source, events: { ...events, decode } } };
  },
  { ends: true, holdsMalformed: true, saysArrival: false },
);
