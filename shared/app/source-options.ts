/** What an app says of a source that its functions read. */
import { DEFAULT_DECODING, type Decoder, type Decoding, type Integers } from "../source/decoding.ts";

export interface SourceOptions {
  /**
   * Where `tidemark run` reads it: a path or glob of files relative to the app module (`"data/*.jsonl"`), or
   * `kinesis:STREAM`. `--source` overrides it; a deployment binds a stream of its own.
   * @default none - it has to be said on the command line
   */
  readonly url?: string;
  /**
   * What integers beyond 2^53 become, which a number of JavaScript cannot tell from their neighbours: `BigInt`
   * (`"exact"`), text (`"text"`), or the record is a dead letter (`"refuse"`). In JSON and in Parquet, embedded and deployed.
   * @default "exact"
   */
  readonly integers?: Integers;
  /**
   * Makes 0 to many events of each record: `kpl()`, `gzip()`, `cloudWatchLogs()`, `jsonValues()`, `base64()` of
   * `tidemark/decode`, which compose, or a function of your own. See {@link Decoder}.
   * @default none - a record is one JSON value, and one event
   */
  readonly decode?: Decoder;
}

/** What of an app its sources are read from. */
interface AppOfSources {
  readonly sources?: { readonly [source: string]: string | SourceOptions };
}

/** The options of a source, however they were given. */
export function sourceOptionsOf(app: AppOfSources, source: string): SourceOptions {
  const given = app.sources !== undefined && Object.hasOwn(app.sources, source) ? app.sources[source] : undefined;
  return typeof given === "string" ? { url: given } : (given ?? {});
}

/** Where the app itself says that its sources are read. */
export function sourceUrls(app: AppOfSources): { readonly [source: string]: string } {
  const urls = Object.keys(app.sources ?? {}).map((source) => [source, sourceOptionsOf(app, source).url] as const);
  return Object.fromEntries(urls.filter((entry): entry is [string, string] => entry[1] !== undefined));
}

/** How the records of a source are decoded, wherever they come from. */
export function decodingOf(app: AppOfSources, source: string): Decoding {
  const { integers = DEFAULT_DECODING.integers, decode } = sourceOptionsOf(app, source);
  return decode === undefined ? { integers } : { integers, decode };
}
