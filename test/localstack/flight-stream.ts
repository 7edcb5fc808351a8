/**
 * Real flights on their way into a Kinesis stream, each to the shard that it was dealt to, in the order of the original.
 * What was put where is kept, so that a position in a shard says which flights stand before it.
 */
import { readFile, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import {
  GetRecordsCommand,
  GetShardIteratorCommand,
  type KinesisClient,
  ListShardsCommand,
  PutRecordCommand,
  PutRecordsCommand,
} from "@aws-sdk/client-kinesis";
import { type DataSet, type DealtSplit, dealFlights } from "../../examples/flights/demo/data.ts";

/** Of each shard, in one request: small enough that flights flow, rather than come in gusts. */
const FLIGHTS_PER_REQUEST = 100;
const TICK_MS = 50;

/** A reader's own, put by hand. */
const FLIGHTS_THERE_MAX = 100;

interface Lane {
  readonly dealt: DealtSplit;
  /** A hash key that is the shard's. */
  readonly hashKey: string;
  readonly flights: readonly string[];
  /** Of the flights that were put, in their order. */
  readonly sequenceNumbers: bigint[];
}

export interface FlightStreamOptions {
  readonly client: KinesisClient;
  /** The stream's name. */
  readonly stream: string;
  readonly flights: DataSet;
  /** Where the flights are dealt into files. */
  readonly folder: string;
}

export class FlightStream {
  private readonly options: FlightStreamOptions;
  private readonly lanes: readonly Lane[];
  private ceiling = 0;
  private stopped = false;
  private running: Promise<void> = Promise.resolve();

  private constructor(options: FlightStreamOptions, lanes: readonly Lane[]) {
    this.options = options;
    this.lanes = lanes;
  }

  /** Flights that the stream holds already count, before those of the data set. */
  static async open(options: FlightStreamOptions): Promise<FlightStream> {
    const { client, stream } = options;
    const { Shards = [] } = await client.send(new ListShardsCommand({ StreamName: stream }));
    const dealt = await dealFlights(options.flights, options.folder, Shards.length);
    const lanes = dealt.map(async ({ file }, index): Promise<Lane> => {
      const { ShardId: split = "", HashKeyRange } = Shards[index] ?? {};
      const there = await readFirst(options, split, FLIGHTS_THERE_MAX);
      // The file holds what the shard will hold, in its order: others compute the truth from it.
      const lines = `${there.map(({ text }) => `${text.trim()}\n`).join("")}${await readFile(file, "utf8")}`;
      await writeFile(file, lines);
      const flights = lines.trimEnd().split("\n");
      return {
        dealt: { split, file, flights: flights.length },
        hashKey: HashKeyRange?.StartingHashKey ?? "",
        flights,
        sequenceNumbers: there.map(({ sequenceNumber }) => BigInt(sequenceNumber)),
      };
    });
    return new FlightStream(options, await Promise.all(lanes));
  }

  /** The shards with the files of the flights that go there. */
  get splits(): readonly DealtSplit[] {
    return this.lanes.map(({ dealt }) => dealt);
  }

  get flights(): number {
    return this.lanes.reduce((sum, { flights }) => sum + flights.length, 0);
  }

  /** Flights that are in the stream. */
  get arrived(): number {
    return this.lanes.reduce((sum, { sequenceNumbers }) => sum + sequenceNumbers.length, 0);
  }

  arrivedIn(split: string): number {
    return this.laneOf(split).sequenceNumbers.length;
  }

  /** Flights that may arrive by now. */
  get allowed(): number {
    return this.lanes.reduce((sum, lane) => sum + this.allowedIn(lane), 0);
  }

  /** Flights at or before a position of a shard. */
  rowsUpTo(split: string, position: string): number {
    const bound = BigInt(position === "" ? 0 : position);
    return this.laneOf(split).sequenceNumbers.filter((number) => number <= bound).length;
  }

  /** Lets flights flow, up to the part that {@link letIn} allows. */
  start(): void {
    this.running = this.flow();
    this.running.catch(() => {});
  }

  /** The part of all flights that may arrive from now on, from 0 to 1. */
  letIn(part: number): void {
    this.ceiling = part;
  }

  /** @throws what putting failed with */
  async stop(): Promise<void> {
    this.stopped = true;
    await this.running;
  }

  /** Puts a record that is no flight behind those that are there. @returns its sequence number */
  async putStranger(split: string, body: string): Promise<string> {
    const { client, stream: StreamName } = this.options;
    const { hashKey: ExplicitHashKey } = this.laneOf(split);
    const Data = Buffer.from(body);
    const answer = await client.send(
      new PutRecordCommand({ StreamName, Data, PartitionKey: "stranger", ExplicitHashKey }),
    );
    return answer.SequenceNumber ?? "";
  }

  private laneOf(split: string): Lane {
    const lane = this.lanes.find(({ dealt }) => dealt.split === split);
    if (lane === undefined) throw new Error(`The stream has no shard ${split}.`);
    return lane;
  }

  private async flow(): Promise<void> {
    while (!this.stopped && this.arrived < this.flights) {
      const next = this.lanes.map((lane) => {
        const from = lane.sequenceNumbers.length;
        const to = Math.min(this.allowedIn(lane), from + FLIGHTS_PER_REQUEST);
        return { lane, flights: lane.flights.slice(from, to) };
      });
      if (next.some(({ flights }) => flights.length > 0)) await this.put(next);
      await sleep(TICK_MS);
    }
  }

  private allowedIn({ flights }: Lane): number {
    return Math.ceil(flights.length * this.ceiling);
  }

  private async put(next: readonly { readonly lane: Lane; readonly flights: readonly string[] }[]): Promise<void> {
    const records = next.flatMap(({ lane, flights }) => flights.map((flight) => ({ lane, flight })));
    const { Records = [] } = await this.options.client.send(
      new PutRecordsCommand({
        StreamName: this.options.stream,
        Records: records.map(({ lane, flight }) => ({
          Data: Buffer.from(flight),
          PartitionKey: (JSON.parse(flight) as { readonly origin: string }).origin,
          ExplicitHashKey: lane.hashKey,
        })),
      }),
    );
    for (const [index, { lane }] of records.entries()) {
      const { ShardId, SequenceNumber, ErrorMessage } = Records[index] ?? {};
      const number = BigInt(SequenceNumber ?? -1);
      // One put again would stand behind flights that it came before, and no truth would hold.
      if (ShardId !== lane.dealt.split || number <= (lane.sequenceNumbers.at(-1) ?? -1n)) {
        throw new Error(`Kinesis did not put a flight where, or in the order in which, it was sent: ${ErrorMessage}`);
      }
      lane.sequenceNumbers.push(number);
    }
  }
}

/** The first records of a shard. */
export async function readFirst(
  { client, stream: StreamName }: Pick<FlightStreamOptions, "client" | "stream">,
  ShardId: string,
  Limit: number,
): Promise<readonly { readonly sequenceNumber: string; readonly text: string; readonly arrivalTimeMs: number }[]> {
  const { ShardIterator } = await client.send(
    new GetShardIteratorCommand({ StreamName, ShardId, ShardIteratorType: "TRIM_HORIZON" }),
  );
  const { Records = [] } = await client.send(new GetRecordsCommand({ ShardIterator, Limit }));
  return Records.map(({ SequenceNumber = "", Data = new Uint8Array(), ApproximateArrivalTimestamp }) => ({
    sequenceNumber: SequenceNumber,
    text: Buffer.from(Data).toString("utf8"),
    arrivalTimeMs: ApproximateArrivalTimestamp?.getTime() ?? 0,
  }));
}
