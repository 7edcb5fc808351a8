import { KinesisClient } from "@aws-sdk/client-kinesis";
import { NodeHttpHandler } from "@smithy/node-http-handler";

/**
 * A client of the environment's own region, credentials and endpoint, which speaks HTTP/1.1. The SDK's choice for Kinesis
 * is HTTP/2, for the sake of SubscribeToShard, which Tidemark does not use; emulators break under it ("Protocol error").
 */
export function createKinesisClient(): KinesisClient {
  return new KinesisClient({ requestHandler: new NodeHttpHandler() });
}
