import {
  CreateTableCommand,
  type CreateTableCommandInput,
  DescribeTableCommand,
  type DescribeTableCommandInput,
} from "@aws-sdk/client-dynamodb";
import { UnknownToTheWire } from "./failures.ts";
import { knownCommand } from "./request-parts.ts";

const create = knownCommand<CreateTableCommandInput>(
  CreateTableCommand,
  ["TableName", "BillingMode", "AttributeDefinitions", "KeySchema"],
  (dynamodb, { TableName, AttributeDefinitions, KeySchema }) => {
    const [partition, sort, ...more] = (KeySchema ?? []).map(({ AttributeName }) => AttributeName);
    const texts = (AttributeDefinitions ?? []).every(({ AttributeType }) => AttributeType === "S");
    if (partition === undefined || sort === undefined || more.length > 0 || !texts) {
      throw new UnknownToTheWire("tables whose key is not two strings");
    }
    dynamodb.createTable(TableName ?? "", { partition, sort });
    return {};
  },
);

/** Tables are active as soon as they exist. */
const describe = knownCommand<DescribeTableCommandInput>(DescribeTableCommand, ["TableName"], (dynamodb, input) => {
  const { key, name } = dynamodb.table(input.TableName);
  const KeySchema = [
    { AttributeName: key.partition, KeyType: "HASH" },
    { AttributeName: key.sort, KeyType: "RANGE" },
  ];
  return { Table: { TableName: name, TableStatus: "ACTIVE", KeySchema } };
});

export const tableCommands = [create, describe];
