/**
 * Where functions run: as processes of this machine where LocalStack is one itself, and in containers where it is in one.
 * From there this machine has another name, and its loopback interface is out of reach.
 */
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";

/** Set for the tests' processes where functions run in containers. */
export const IN_CONTAINERS_VARIABLE = "TIDEMARK_FUNCTIONS_IN_CONTAINERS";

/** This machine's name in a container; outside Docker Desktop only with the flag below. */
const HOST = "host.docker.internal";

/** For LocalStack's LAMBDA_DOCKER_FLAGS. */
export const HOST_FLAG = `--add-host ${HOST}:host-gateway`;

export const functionsInContainers = (): boolean => process.env[IN_CONTAINERS_VARIABLE] === "1";

/** Has a server of these tests listen where functions reach it. @returns the endpoint that they know it by */
export async function listenForFunctions(server: Server): Promise<string> {
  const [address, host] = functionsInContainers() ? ["0.0.0.0", HOST] : ["127.0.0.1", "127.0.0.1"];
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  return `http://${host}:${(server.address() as AddressInfo).port}`;
}
