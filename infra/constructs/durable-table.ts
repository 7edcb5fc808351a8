/** The one way in which Tidemark's tables are made: losing one loses state, so nothing removes it by accident. */
import { RemovalPolicy } from "aws-cdk-lib";
import { AttributeType, BillingMode, Table } from "aws-cdk-lib/aws-dynamodb";
import type { Construct } from "constructs";
import type { KeySchema } from "../../shared/dynamodb/create-table.ts";

/**
 * A table that is paid for by the request, can be set back to any second of the last 35 days, and outlives its stack:
 * deletion protection must be taken off by hand before anything can remove it.
 */
export class DurableTable extends Table {
  constructor(scope: Construct, id: string, props: { readonly keySchema: KeySchema }) {
    super(scope, id, {
      partitionKey: { name: props.keySchema.partition, type: AttributeType.STRING },
      sortKey: { name: props.keySchema.sort, type: AttributeType.STRING },
      billingMode: BillingMode.PAY_PER_REQUEST,
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      deletionProtection: true,
      removalPolicy: RemovalPolicy.RETAIN,
    });
  }
}
