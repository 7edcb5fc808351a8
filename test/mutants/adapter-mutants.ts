/** Breaks of the adapters of DynamoDB and S3: what the ports promise and the wires do not. */
import { inFile, type Mutant } from "./mutant.ts";

const STATE = "shared/state/dynamodb/dynamodb-state-backend.ts";
const CONTROL = "shared/control/dynamodb/dynamodb-control-store.ts";
const S3 = "shared/storage/s3/s3-storage.ts";

export const adapterMutants: readonly Mutant[] = [
  {
    name: "unprocessed-keys-ignored",
    breaks: "keys that BatchGetItem left unprocessed count as keys without an item",
    rule: "load the keys' items (BatchGetItem, strong;",
    world: "suite",
    suite: "test/unit/dynamodb/dynamodb-access.test.ts",
    edits: [inFile("shared/dynamodb/batch-get.ts", "left = unprocessed;", "left = [];")],
  },
  {
    name: "last-page-of-a-scan-ignored",
    breaks: "the page of a scan that names no next one is left out",
    rule: "scan each state table (parallel slices, strong reads), take each item's image at cut `n`",
    world: "adapters",
    edits: [
      inFile(
        STATE,
        "yield { items: complete.map(({ item }) => item), cursor: after && encodeCursor(after) };",
        "if (after !== undefined) yield { items: complete.map(({ item }) => item), cursor: after && encodeCursor(after) };",
      ),
    ],
  },
  {
    name: "scan-reads-eventually",
    breaks: "a snapshot scans with eventually consistent reads",
    rule: "scan each state table (parallel slices, strong reads)",
    world: "adapters",
    edits: [
      inFile(
        STATE,
        "ConsistentRead: true,\n        FilterExpression",
        "ConsistentRead: false,\n        FilterExpression",
      ),
    ],
  },
  {
    name: "scan-of-all-generations",
    breaks: "a snapshot takes items of every generation for those of the live one",
    rule: "every state item belongs to one generation",
    world: "adapters",
    edits: [inFile(STATE, 'FilterExpression: "#gen = :gen",', 'FilterExpression: "#gen <= :gen",')],
  },
  {
    name: "first-write-overwrites",
    breaks: "the first write of a key does not ask whether it has an item by now",
    rule: "or on the item not existing",
    world: "adapters",
    edits: [
      inFile(
        STATE,
        '? { ConditionExpression: "attribute_not_exists(#key)", ExpressionAttributeNames: { "#key": "key" } }',
        "? {}",
      ),
    ],
  },
  {
    name: "before-image-named-and-not-put",
    breaks: "an oversized before-image is named and never put",
    rule: "the before-image is put first, as an item of its own",
    world: "adapters",
    edits: [inFile(STATE, "if (put) await this.#put(", "if (!put) await this.#put(")],
  },
  {
    name: "control-read-eventually",
    breaks: "control and split items are read with eventually consistent reads",
    rule: "read control (strong)",
    world: "adapters",
    edits: [
      inFile(
        CONTROL,
        "Key: controlItemKey(key),\n      ConsistentRead: true,",
        "Key: controlItemKey(key),\n      ConsistentRead: false,",
      ),
    ],
  },
  {
    name: "splits-listed-eventually",
    breaks: "splits are listed with eventually consistent reads",
    rule: "THEN list the splits with strong reads.",
    world: "adapters",
    edits: [
      inFile(
        CONTROL,
        "ConsistentRead: true,\n        KeyConditionExpression",
        "ConsistentRead: false,\n        KeyConditionExpression",
      ),
    ],
  },
  {
    name: "one-page-of-splits",
    breaks: "of a list of splits only the first page is read",
    rule: "THEN list the splits with strong reads.",
    world: "adapters",
    edits: [inFile(CONTROL, "after = page.LastEvaluatedKey;", "after = undefined;")],
  },
  {
    name: "condition-ignored",
    breaks: "a control item is written whatever its condition says",
    rule: "each step is one conditional write of one item",
    world: "adapters",
    edits: [
      inFile(
        "shared/control/dynamodb/update-expression.ts",
        '...(conditions.length > 0 && { ConditionExpression: conditions.join(" AND ") }),',
        '...(conditions.length > 1 && { ConditionExpression: conditions.slice(1).join(" AND ") }),',
      ),
    ],
  },
  {
    name: "manifest-put-over",
    breaks: "a manifest is put without asking whether its address is taken",
    rule: "commit = PUT of the manifest there with `If-None-Match: *`",
    world: "adapters",
    edits: [inFile(S3, 'Body: body, IfNoneMatch: "*" }', "Body: body }")],
  },
  {
    name: "marker-put-blindly",
    breaks: "retention's marker, or a dead letter, is put over what was written since it was read",
    rule: "it overwrites the manifest with a DELETED marker (`If-Match`)",
    world: "adapters",
    edits: [inFile(S3, "Body: body, IfMatch: version }", "Body: body }")],
  },
];
