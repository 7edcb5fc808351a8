/**
 * DynamoDB in memory: answers the commands of the SDK that Tidemark's adapters send, each in one step, without HTTP.
 *
 * What it knows it does as DynamoDB does it: conditions, pages of 1 MB, 16 MB of a batch, items of 400 KB, keys, numbers,
 * segments of a scan, strong and eventual reads. What it does not know (another command, parameter or form of expression)
 * it refuses as {@link UnknownToTheWire}. `differential.test.ts` holds it against dynalite and LocalStack.
 */
import { batchCommands } from "./batch-commands.ts";
import { noTable, tableExists, UnknownToTheWire } from "./failures.ts";
import { itemCommands } from "./item-commands.ts";
import { type Key, MemoryTable } from "./memory-table.ts";
import { pageCommands } from "./page-commands.ts";
import type { KnownCommand, Leeway } from "./request-parts.ts";
import { tableCommands } from "./table-commands.ts";

const COMMANDS = new Map<unknown, KnownCommand>(
  [...tableCommands, ...itemCommands, ...batchCommands, ...pageCommands].map((known) => [known.command, known]),
);

export class MemoryDynamoDB {
  readonly #tables = new Map<string, MemoryTable>();

  /**
   * The command's output.
   * @throws DynamoDBServiceException as DynamoDB would
   * @throws UnknownToTheWire for what this DynamoDB does not know
   */
  answer(command: object, leeway: Leeway = {}): object {
    const { input } = command as { readonly input: Readonly<Record<string, unknown>> };
    const known = COMMANDS.get(command.constructor);
    if (known === undefined) throw new UnknownToTheWire(`the command ${command.constructor.name}`);
    for (const name in input) {
      if (input[name] !== undefined && !known.members.has(name)) {
        throw new UnknownToTheWire(`${name} of ${command.constructor.name}`);
      }
    }
    return {
      $metadata: { httpStatusCode: 200, attempts: 1, totalRetryDelay: 0 },
      ...known.answer(this, input, leeway),
    };
  }

  /** @throws ResourceNotFoundException */
  table(name: string | undefined): MemoryTable {
    const table = this.#tables.get(name ?? "");
    if (table === undefined) throw noTable();
    return table;
  }

  /** @throws ResourceInUseException */
  createTable(name: string, key: Key, hash?: (partition: string) => number): void {
    if (this.#tables.has(name)) throw tableExists(name);
    this.#tables.set(name, new MemoryTable(name, key, hash));
  }
}
