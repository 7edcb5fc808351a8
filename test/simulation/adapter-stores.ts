/**
 * The stores of a history under the adapters: the real DynamoDB and S3 adapters, whose every command waits for its turn,
 * may go wrong, and is answered by a DynamoDB and an S3 in memory.
 *
 * Invariants:
 * - One command is one turn: what an adapter does by several can be interleaved with anything between any two.
 * - What the services may do with a command for real (leave a part of a batch over, end a page early, break off a body,
 *   answer an eventual read with what is older) the history's choices decide.
 * - A command that the services in memory do not know breaks the history, whatever the adapter makes of the error.
 */
import { BatchGetItemCommand, BatchWriteItemCommand, type DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { DynamoDBControlStore } from "../../shared/control/dynamodb/dynamodb-control-store.ts";
import type { Clock, Randomness } from "../../shared/environment.ts";
import { DynamoDBStateBackend } from "../../shared/state/dynamodb/dynamodb-state-backend.ts";
import { STATE_KEY_SCHEMA } from "../../shared/state/dynamodb/state-table.ts";
import { S3CheckpointStorage } from "../../shared/storage/s3/s3-storage.ts";
import { CONTROL_TABLE, CommandWatch, STATE_TABLES, WATCHED_BRANCHES, WatchedControl } from "./command-watch.ts";
import type { ControlStep } from "./control-step.ts";
import type { Process } from "./process.ts";
import { FUNCTION, NEW_NAME } from "./recording-function.ts";
import type { Call, Method } from "./scheduler.ts";
import { Violation } from "./violation.ts";
import { MemoryDynamoDB } from "./wires/dynamodb/memory-dynamodb.ts";
import type { Leeway } from "./wires/dynamodb/request-parts.ts";
import { clientOf } from "./wires/s3/memory-client.ts";
import { MemoryS3, type S3Leeway } from "./wires/s3/memory-s3.ts";
import {
  DYNAMODB_NO_ANSWER,
  DYNAMODB_REFUSALS,
  S3_CONFLICT,
  S3_NO_ANSWER,
  S3_REFUSALS,
} from "./wires/wire-failures.ts";
import type { Stores, StoresSurroundings, WorldStores } from "./world-stores.ts";

const BUCKET = "bucket";
const PREFIX = "apps/one";

/** Small pages, so that scans and lists are interleaved with writes. */
const PAGE_ITEMS_MAX = 2;
/** With two of older generations on one page often enough: they are deleted in a batch. */
const STATE_PAGE_ITEMS_MAX = 3;

/** How often a history's services make use of their leeway; drawn by its seed. */
interface Habits {
  readonly leavesOver: number;
  readonly endsEarly: number;
  readonly breaksOff: number;
  readonly conflicts: number;
}

export class AdapterStores implements WorldStores {
  readonly truth: Stores;
  readonly #options: StoresSurroundings;
  readonly #dynamodb = new MemoryDynamoDB();
  readonly #s3 = new MemoryS3();
  readonly #watch: CommandWatch;
  readonly #habits: Habits;

  constructor(options: StoresSurroundings) {
    this.#options = options;
    const { choices, coverage, watcher } = options;
    this.#dynamodb.createTable(CONTROL_TABLE, { partition: "pk", sort: "sk" });
    // Of four segments, as many as a sweep reads, each has seldom more than one of a history's few keys.
    const crowded = choices.chance(0.7) ? () => 0 : undefined;
    for (const name of [FUNCTION, NEW_NAME])
      this.#dynamodb.createTable(`${STATE_TABLES}${name}`, STATE_KEY_SCHEMA, crowded);
    this.#s3.createBucket(BUCKET);
    this.#watch = new CommandWatch({ dynamodb: this.#dynamodb, prefix: `${PREFIX}/`, watcher, coverage });
    const habit = (probability: number) => (choices.chance(0.5) ? probability : 0);
    this.#habits = { leavesOver: habit(0.3), endsEarly: habit(0.3), breaksOff: habit(0.1), conflicts: habit(0.1) };
    this.truth = this.#adapters(
      async (command) => this.#dynamodb.answer(command),
      async (command) => this.#s3.answer(command),
      STILL,
    );
  }

  stepOf({ first }: Call): ControlStep | undefined {
    return this.#watch.stepOf(first as object);
  }

  open(process: Process, surroundings: Surroundings): Stores {
    const stores = this.#adapters(
      (command) => this.sendDynamoDB(process, command),
      (command) => this.#send(process, s3Method(command), command, () => this.#askS3(command)),
      surroundings,
    );
    return { ...stores, control: new WatchedControl(stores.control, this.#watch) };
  }

  /** As a process's client does. */
  sendDynamoDB(process: Process, command: object): Promise<object> {
    return this.#send(process, dynamodbMethod(command), command, () => this.#askDynamoDB(command));
  }

  #adapters(dynamodb: Send, s3: Send, surroundings: Surroundings): Stores {
    const client = { send: dynamodb as DynamoDBClient["send"] };
    const place = { bucket: BUCKET, prefix: PREFIX, url: `s3://${BUCKET}/${PREFIX}` };
    return {
      control: new DynamoDBControlStore({
        ...surroundings,
        client,
        table: CONTROL_TABLE,
        pageItemsMax: PAGE_ITEMS_MAX,
      }),
      state: new DynamoDBStateBackend({
        ...{ ...surroundings, client, tableOf: (name: string) => `${STATE_TABLES}${name}` },
        pageItemsMax: STATE_PAGE_ITEMS_MAX,
      }),
      storage: new S3CheckpointStorage({ ...surroundings, ...place, client: clientOf(s3) }),
    };
  }

  #send(process: Process, method: Method, command: object, ask: () => object): Promise<object> {
    this.#watch.sent(command);
    const run = async (): Promise<object> => {
      try {
        return ask();
      } catch (thrown) {
        const unknown = thrown instanceof Error && thrown.name === "UnknownToTheWire";
        // An adapter would take it for a failure of the service, and try again.
        if (unknown || thrown instanceof Violation) this.#options.scheduler.broken ??= thrown;
        throw thrown;
      }
    };
    return this.#options.scheduler.call(process, method, run, command);
  }

  #askDynamoDB(command: object): object {
    return this.#watch.dynamodb(command, () => this.#dynamodb.answer(command, this.#dynamodbLeeway(command)));
  }

  #askS3(command: object): object {
    const { choices, coverage, scheduler } = this.#options;
    // Conditional puts are too few for the faults of all calls to meet them.
    const conditional = s3Method(command).refusals === CONFLICTS;
    if (conditional && scheduler.faultsLeft > 0 && choices.chance(this.#habits.conflicts)) {
      scheduler.faultsLeft -= 1;
      coverage.hit(S3_CONFLICT.name);
      throw S3_CONFLICT.make();
    }
    return this.#watch.s3(command, () => this.#s3.answer(command, this.#s3Leeway(command)));
  }

  #dynamodbLeeway(command: object): Leeway {
    const { choices, coverage } = this.#options;
    if (command instanceof BatchGetItemCommand || command instanceof BatchWriteItemCommand) {
      const [request] = Object.values(command.input.RequestItems ?? {});
      const count = Array.isArray(request) ? request.length : (request?.Keys?.length ?? 0);
      // Batches of writes are few: only older generations are removed by them.
      const probability = Array.isArray(request) ? 0.9 : this.#habits.leavesOver;
      if (count < 2 || !choices.chance(probability)) return {};
      coverage.hit(Array.isArray(request) ? LEFT_OVER.items : LEFT_OVER.keys);
      return { batchMax: 1 + choices.below(count - 1) };
    }
    const { input } = command as { readonly input: { readonly ConsistentRead?: boolean; readonly Limit?: number } };
    const reads = !dynamodbMethod(command).writes;
    const lag = reads && input.ConsistentRead !== true ? choices.below(LAG_WRITES_MAX) : 0;
    if (input.Limit === undefined || !choices.chance(this.#habits.endsEarly)) return { lagWrites: lag };
    coverage.hit(ENDS_EARLY);
    return { lagWrites: lag, pageMax: 1 };
  }

  #s3Leeway(command: object): S3Leeway {
    const { choices, coverage, scheduler } = this.#options;
    const { name } = s3Method(command);
    // Pages of a listing are as small as those of a scan.
    if (name === "ListObjectsV2") return { pageMax: PAGE_ITEMS_MAX - choices.below(PAGE_ITEMS_MAX) };
    if (name !== "GetObject" || scheduler.faultsLeft <= 0 || !choices.chance(this.#habits.breaksOff)) return {};
    scheduler.faultsLeft -= 1;
    coverage.hit(BREAKS_OFF);
    return { breakAfterBytes: choices.below(BREAK_BYTES_MAX) };
  }
}

type Send = (command: object) => Promise<object>;

export interface Surroundings {
  readonly clock: Clock;
  readonly randomness: Randomness;
}

/** For whoever judges: nothing is ever throttled then. */
const STILL: Surroundings = {
  clock: { now: () => 0, sleep: async () => {} },
  randomness: { fraction: () => 0, token: () => "judge" },
};

const LEFT_OVER = { keys: "keys of a batch are left over", items: "items of a batch are left over" };
const ENDS_EARLY = "a page of items ends early";
const BREAKS_OFF = "the body of an object breaks off";

/** What a long run in this world must have come through, besides the protocol's branches. */
export const ADAPTER_BRANCHES: readonly string[] = [
  ...WATCHED_BRANCHES,
  ...[LEFT_OVER.keys, LEFT_OVER.items, ENDS_EARLY, BREAKS_OFF],
  ...[...DYNAMODB_REFUSALS, ...DYNAMODB_NO_ANSWER, ...S3_REFUSALS, S3_CONFLICT, ...S3_NO_ANSWER].map(
    ({ name }) => name,
  ),
];

const LAG_WRITES_MAX = 8;
const BREAK_BYTES_MAX = 200;

const READS = new Set(["GetItem", "BatchGetItem", "Query", "Scan", "GetObject", "ListObjectsV2"]);

/** The methods of one kind of calls, made once each: one for every command. */
class Methods {
  readonly #kind: Pick<Method, "store" | "refusals" | "noAnswers">;
  readonly #byCommand = new Map<unknown, Method>();

  constructor(kind: Pick<Method, "store" | "refusals" | "noAnswers">) {
    this.#kind = kind;
  }

  of(command: object): Method {
    const known = this.#byCommand.get(command.constructor);
    if (known !== undefined) return known;
    const name = command.constructor.name.replace(/Command$/, "");
    const method = { ...this.#kind, name, writes: !READS.has(name), spell };
    this.#byCommand.set(command.constructor, method);
    return method;
  }
}

const CONTROL = new Methods({ store: "control", refusals: DYNAMODB_REFUSALS, noAnswers: DYNAMODB_NO_ANSWER });
const STATE = new Methods({ store: "state", refusals: DYNAMODB_REFUSALS, noAnswers: DYNAMODB_NO_ANSWER });
const STORAGE = new Methods({ store: "storage", refusals: S3_REFUSALS, noAnswers: S3_NO_ANSWER });
/** Half of the refusals: S3 can say this of no other command. */
const CONFLICTS = [...S3_REFUSALS, S3_CONFLICT, S3_CONFLICT];
const CONDITIONAL_STORAGE = new Methods({ store: "storage", refusals: CONFLICTS, noAnswers: S3_NO_ANSWER });

const inputOf = (command: object) => (command as { readonly input: Readonly<Record<string, unknown>> }).input;

function dynamodbMethod(command: object): Method {
  const { TableName } = inputOf(command);
  // The control store sends no batches.
  return (TableName === CONTROL_TABLE ? CONTROL : STATE).of(command);
}

function s3Method(command: object): Method {
  const input = inputOf(command);
  return ("IfMatch" in input || "IfNoneMatch" in input ? CONDITIONAL_STORAGE : STORAGE).of(command);
}

function spell(command: object): string {
  const { TableName: _, Bucket: __, Body, ...input } = inputOf(command);
  const shown = Body === undefined ? input : { ...input, Body: Buffer.from(Body as Uint8Array).toString() };
  return JSON.stringify(shown);
}
