/** The DynamoDB behind the proxy: the embedded one, which can be killed, or an emulator that runs already. */

import { setTimeout as sleep } from "node:timers/promises";
import { DeleteTableCommand } from "@aws-sdk/client-dynamodb";
import { connectDynamoDB } from "../../local/dynamodb/connect-dynamodb.ts";
import { openHome } from "../../local/home.ts";
import { localSurroundings } from "../../local/surroundings.ts";

export interface Service {
  /** For people. */
  readonly name: string;
  /** Changes when it is started again. */
  readonly endpoint: string;
  /** Kills it, and starts it again so much later; undefined: it is not ours to kill. */
  readonly kill: ((awayMs: number) => Promise<void>) | undefined;
  /** @param tables what was made in it, and goes with this run where the service stays */
  close(tables: readonly string[]): Promise<void>;
}

/** @param folder where the embedded one keeps its data */
export async function openService(folder: string, environment: NodeJS.ProcessEnv): Promise<Service> {
  const emulator = environment.AWS_ENDPOINT_URL_DYNAMODB ?? environment.AWS_ENDPOINT_URL;
  return emulator === undefined ? embedded(folder) : shared(emulator);
}

async function embedded(folder: string): Promise<Service> {
  let connection = await connectDynamoDB(openHome(folder), { own: true });
  return {
    name: "the embedded DynamoDB",
    get endpoint() {
      return connection.endpoint;
    },
    async kill(awayMs) {
      process.kill(connection.pid, "SIGKILL");
      await sleep(awayMs);
      connection = await connectDynamoDB(openHome(folder), { own: true });
    },
    close: () => connection.close(),
  };
}

function shared(endpoint: string): Service {
  return {
    name: `the DynamoDB at ${endpoint}`,
    endpoint,
    kill: undefined,
    async close(tables) {
      const surroundings = localSurroundings(endpoint, () => {});
      try {
        const client = await surroundings.dynamodb();
        for (const table of tables) {
          // A run that never came so far has made none.
          await client.send(new DeleteTableCommand({ TableName: table })).catch(() => {});
        }
      } finally {
        surroundings.close();
      }
    },
  };
}
