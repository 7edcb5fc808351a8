import { LambdaClient } from "@aws-sdk/client-lambda";
import { NodeHttpHandler } from "@smithy/node-http-handler";

/** Longer than any stretch of work that is waited for. */
const IDLE_MS_MAX = 240_000;
/** More than any deployment has workers. */
const SOCKETS_MAX = 1_000;

/** A client of the environment's own region, credentials and endpoint, for invocations that are waited for. */
export function createLambdaClient(): LambdaClient {
  return new LambdaClient({
    requestHandler: new NodeHttpHandler({
      connectionTimeout: 5_000,
      socketTimeout: IDLE_MS_MAX,
      httpsAgent: { maxSockets: SOCKETS_MAX, keepAlive: true },
      httpAgent: { maxSockets: SOCKETS_MAX, keepAlive: true },
    }),
  });
}
