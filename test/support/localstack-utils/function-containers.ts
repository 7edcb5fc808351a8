/**
 * Where functions run: as processes of this machine where LocalStack is one itself, and in containers where it is in one.
 * From there this machine has another name, its loopback interface is out of reach, and their processes are root's.
 */
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";

/** Set for the tests' processes where functions run in containers. */
export const IN_CONTAINERS_VARIABLE = "TIDEMARK_FUNCTIONS_IN_CONTAINERS";

/** This machine's name in a container; outside Docker Desktop only with the flag below. */
const HOST = "host.docker.internal";

/** For LocalStack's LAMBDA_DOCKER_FLAGS. */
export const HOST_FLAG = `--add-host ${HOST}:host-gateway`;

/** Spares the first process of a container, and the shell that says it. */
const KILL_ALL = "kill -KILL -1";
const NOTHING_THERE = 1;

export const functionsInContainers = (): boolean => process.env[IN_CONTAINERS_VARIABLE] === "1";

/** Has a server of these tests listen where functions reach it. @returns the endpoint that they know it by */
export async function listenForFunctions(server: Server): Promise<string> {
  const [address, host] = functionsInContainers() ? ["0.0.0.0", HOST] : ["127.0.0.1", "127.0.0.1"];
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  return `http://${host}:${(server.address() as AddressInfo).port}`;
}

/**
 * Sends SIGKILL to all that runs in a function's containers but their first process, which is Lambda's own.
 * @returns in how many containers there was something to kill
 */
export async function killInContainers(functionName: string, containersMax: number): Promise<number> {
  // Loaded here: where functions are processes, nobody needs Docker's client.
  const { getContainerRuntimeClient } = await import("testcontainers");
  const { container: docker } = await getContainerRuntimeClient();
  const wanted = `AWS_LAMBDA_FUNCTION_NAME=${functionName}`;
  let killed = 0;
  for (const { Id } of await docker.list()) {
    if (killed >= containersMax) break;
    try {
      const container = docker.getById(Id);
      if (!(await container.inspect()).Config.Env.includes(wanted)) continue;
      const { exitCode, output } = await docker.exec(container, ["sh", "-c", KILL_ALL], { user: "root" });
      if (exitCode === 0) killed += 1;
      else if (exitCode !== NOTHING_THERE) throw new Error(`${KILL_ALL} in ${Id} ended with ${exitCode}: ${output}`);
    } catch (thrown) {
      // Its container has ended since.
      if (![404, 409].includes((thrown as { readonly statusCode?: number }).statusCode ?? 0)) throw thrown;
    }
  }
  return killed;
}
