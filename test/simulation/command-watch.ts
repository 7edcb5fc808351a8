/**
 * Tells the watcher of a history, command by command, what was written: the judge sees what the services did, not what
 * an adapter says of it.
 */
import {
  ConditionalCheckFailedException,
  DeleteItemCommand,
  PutItemCommand,
  UpdateItemCommand,
} from "@aws-sdk/client-dynamodb";
import { CompleteMultipartUploadCommand, DeleteObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import type { ConditionalWrite } from "../../shared/control/conditional-write.ts";
import type { ControlAttributes, ControlStore, ItemKey, UpdateAnswer } from "../../shared/control/control-store.ts";
import { type AttributeMap, fromAttributeMap } from "../../shared/json/attribute-value.ts";
import { fromBeforeAttributes, fromItem } from "../../shared/state/dynamodb/state-item-attributes.ts";
import { type ControlStep, controlStepOf } from "./control-step.ts";
import type { Coverage } from "./coverage.ts";
import type { MemoryDynamoDB } from "./wires/dynamodb/memory-dynamodb.ts";
import { UnknownToTheWire } from "./wires/s3/failures.ts";
import type { Watcher } from "./world-stores.ts";

export const CONTROL_TABLE = "control";
/** Before the function's name. */
export const STATE_TABLES = "state-";

const functionOf = (table: string | undefined): string => (table ?? "").slice(STATE_TABLES.length);

interface Update {
  readonly key: ItemKey;
  readonly write: ConditionalWrite;
}

export interface CommandWatchOptions {
  readonly dynamodb: MemoryDynamoDB;
  /** Before every path in the bucket. */
  readonly prefix: string;
  readonly watcher: Watcher;
  readonly coverage: Coverage;
}

const BEFORE_ITEM_PUT = "a before-image is put into an item of its own";
const BEFORE_ITEM_DELETED = "a before-image's own item is deleted";

/** What a long run must have seen here. */
export const WATCHED_BRANCHES = [BEFORE_ITEM_PUT, BEFORE_ITEM_DELETED];

export class CommandWatch {
  readonly #options: CommandWatchOptions;
  /** The step of the protocol that each update is, which its expressions do not say. */
  readonly #updates = new WeakMap<object, Update>();
  #sending: Update | undefined;

  constructor(options: CommandWatchOptions) {
    this.#options = options;
  }

  /** What `send` sends at once is this update. */
  sending<Answer>(update: Update, send: () => Promise<Answer>): Promise<Answer> {
    this.#sending = update;
    try {
      return send();
    } finally {
      this.#sending = undefined;
    }
  }

  stepOf(command: object): ControlStep | undefined {
    const update = this.#updates.get(command);
    return update && controlStepOf(update.key, update.write);
  }

  sent(command: object): void {
    if (command instanceof UpdateItemCommand && this.#sending !== undefined) this.#updates.set(command, this.#sending);
  }

  dynamodb(command: object, answer: () => object): object {
    if (command instanceof UpdateItemCommand) return this.#updated(command, answer);
    const answered = written(answer);
    if (command instanceof PutItemCommand) this.#put(command, answered.applied);
    if (command instanceof DeleteItemCommand && answered.applied) this.#deleted(command);
    return answered.orThrow();
  }

  s3(command: object, answer: () => object): object {
    const { prefix, watcher } = this.#options;
    // Histories write no object that takes parts; if one did, it would have to be told of here.
    if (command instanceof CompleteMultipartUploadCommand) throw new UnknownToTheWire("uploads in parts, in a history");
    const answered = answer();
    if (command instanceof PutObjectCommand) {
      watcher.object((command.input.Key ?? "").slice(prefix.length), command.input.Body as Uint8Array);
    }
    if (command instanceof DeleteObjectCommand) {
      watcher.object((command.input.Key ?? "").slice(prefix.length), undefined);
    }
    return answered;
  }

  #updated(command: UpdateItemCommand, answer: () => object): object {
    const { watcher } = this.#options;
    const update = this.#updates.get(command);
    if (update === undefined) throw new Error("An update was sent by something else than the control store.");
    const answered = written(answer);
    if (!answered.applied) {
      watcher.control(update.key, update.write, { applied: false });
      return answered.orThrow();
    }
    const { partition, sort } = update.key;
    const stored = this.#options.dynamodb.table(CONTROL_TABLE).get({ partition, sort })?.item ?? {};
    const output = answered.orThrow() as { readonly Attributes?: AttributeMap };
    watcher.control(update.key, update.write, {
      applied: true,
      // Few watchers ask for it, and it is decoded anew.
      get before() {
        return output.Attributes && withoutKey(output.Attributes);
      },
      after: withoutKey(stored as AttributeMap),
    });
    return output;
  }

  #put({ input }: PutItemCommand, applied: boolean): void {
    const { coverage, watcher } = this.#options;
    const attributes = input.Item ?? {};
    if (isBeforeItem(attributes)) {
      coverage.hit(BEFORE_ITEM_PUT);
      return;
    }
    const { item, beforeItem } = fromItem(attributes);
    const place = { partition: item.key, sort: beforeItem ?? "" };
    const apart = beforeItem === undefined ? undefined : this.#options.dynamodb.table(input.TableName).get(place);
    const before = apart && fromBeforeAttributes(apart.item as AttributeMap);
    watcher.state(functionOf(input.TableName), before === undefined ? item : { ...item, before }, applied);
  }

  #deleted({ input }: DeleteItemCommand): void {
    const { Key = {} } = input;
    if (input.TableName === CONTROL_TABLE) return;
    if (isBeforeItem(Key)) {
      this.#options.coverage.hit(BEFORE_ITEM_DELETED);
      return;
    }
    const generation = Number(Key.gen?.S);
    this.#options.watcher.stateRemoved({ function: functionOf(input.TableName), generation }, Key.key?.S ?? "");
  }
}

/** A control store that says which step it is about to send. */
export class WatchedControl implements ControlStore {
  readonly #store: ControlStore;
  readonly #watch: CommandWatch;

  constructor(store: ControlStore, watch: CommandWatch) {
    this.#store = store;
    this.#watch = watch;
  }

  get(key: ItemKey): Promise<ControlAttributes | undefined> {
    return this.#store.get(key);
  }

  list(partition: string): AsyncIterable<{ readonly sort: string; readonly attributes: ControlAttributes }> {
    return this.#store.list(partition);
  }

  update(key: ItemKey, write: ConditionalWrite): Promise<UpdateAnswer> {
    return this.#watch.sending({ key, write }, () => this.#store.update(key, write));
  }

  delete(key: ItemKey): Promise<void> {
    return this.#store.delete(key);
  }
}

/** A condition that failed is an outcome; anything else that is thrown is none. */
function written(answer: () => object): { readonly applied: boolean; readonly orThrow: () => object } {
  try {
    const answered = answer();
    return { applied: true, orThrow: () => answered };
  } catch (thrown) {
    if (!(thrown instanceof ConditionalCheckFailedException)) throw thrown;
    return {
      applied: false,
      orThrow: () => {
        throw thrown;
      },
    };
  }
}

const isBeforeItem = (attributes: AttributeMap): boolean => attributes.gen?.S?.includes("#") === true;

function withoutKey(item: AttributeMap): ControlAttributes {
  const { pk: _pk, sk: _sk, ...attributes } = item;
  return fromAttributeMap(attributes);
}
