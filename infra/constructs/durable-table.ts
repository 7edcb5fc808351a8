/** The one way in which Tidemark's tables are made: losing one loses state, so nothing removes it by accident. */
import { RemovalPolicy } from "aws-cdk-lib";
import { AttributeType, BillingMode, Table, TableEncryption, type WarmThroughput } from "aws-cdk-lib/aws-dynamodb";
import type { IKey } from "aws-cdk-lib/aws-kms";
import type { Construct } from "constructs";
import type { KeySchema } from "../../shared/dynamodb/create-table.ts";

/** How tables are made; those of `existing` stay as they are. */
export interface TableOptions {
  /**
   * What becomes of the tables when they leave the stack. With `DESTROY` state goes with them.
   * @default RemovalPolicy.RETAIN
   */
  readonly removalPolicy?: RemovalPolicy;
  /** Nobody can delete a table before this is taken off. @default true, and false with RemovalPolicy.DESTROY */
  readonly deletionProtection?: boolean;
  /** Each table can be set back to any second of the last 35 days, at $0.20 a GB and month. @default true */
  readonly pointInTimeRecovery?: boolean;
  /** Provisioned capacity of each table, in units a second. @default - on demand: paid for by the request */
  readonly provisioned?: { readonly readCapacity: number; readonly writeCapacity: number };
  /**
   * What each table takes at once. Worth its price before a restore of millions of keys into a new table, which otherwise
   * begins at 4,000 writes a second.
   * @default - DynamoDB's own
   */
  readonly warmThroughput?: WarmThroughput;
}

export interface DurableTableProps extends TableOptions {
  readonly keySchema: KeySchema;
  /** @default - a key that DynamoDB owns */
  readonly encryptionKey?: IKey | undefined;
}

/**
 * A table that is paid for by the request, can be set back to any second of the last 35 days, and outlives its stack:
 * deletion protection must be taken off by hand before anything can remove it.
 */
export class DurableTable extends Table {
  constructor(scope: Construct, id: string, props: DurableTableProps) {
    const { keySchema, encryptionKey, provisioned, warmThroughput } = props;
    const removalPolicy = props.removalPolicy ?? RemovalPolicy.RETAIN;
    super(scope, id, {
      partitionKey: { name: keySchema.partition, type: AttributeType.STRING },
      sortKey: { name: keySchema.sort, type: AttributeType.STRING },
      ...(provisioned === undefined
        ? { billingMode: BillingMode.PAY_PER_REQUEST }
        : { billingMode: BillingMode.PROVISIONED, ...provisioned }),
      ...(warmThroughput === undefined ? {} : { warmThroughput }),
      ...(encryptionKey === undefined ? {} : { encryption: TableEncryption.CUSTOMER_MANAGED, encryptionKey }),
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: props.pointInTimeRecovery ?? true },
      deletionProtection: props.deletionProtection ?? removalPolicy !== RemovalPolicy.DESTROY,
      removalPolicy,
    });
  }
}
