/** What the tests on LocalStack rest on, where there is none: who runs functions, and where they find what tests serve. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test, vi } from "vitest";
import { listenForFunctions } from "../support/localstack-utils/function-containers.ts";
import { localStackEnvironment, startLocalStack } from "../support/localstack-utils/localstack.ts";

const servers: Server[] = [];

afterEach(async () => {
  vi.unstubAllEnvs();
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
});

function serving(server: Server): Server {
  servers.push(server);
  return server;
}

test.each([
  ["in a container", true, "host.docker.internal", "0.0.0.0"],
  ["as a process", false, "127.0.0.1", "127.0.0.1"],
])("where LocalStack runs %s, its functions find what a test serves", async (_how, is_docker, host, address) => {
  const localStack = serving(
    createServer((request, response) => {
      response.writeHead(request.url === "/_localstack/info" ? 200 : 404).end(JSON.stringify({ is_docker }));
    }),
  );
  await new Promise<void>((resolve) => localStack.listen(0, "127.0.0.1", resolve));
  const given = await startLocalStack(`http://127.0.0.1:${(localStack.address() as AddressInfo).port}`);
  for (const [name, value] of Object.entries(localStackEnvironment(given))) vi.stubEnv(name, value);

  const served = serving(createServer());
  const endpoint = new URL(await listenForFunctions(served));
  expect(served.address()).toMatchObject({ address, port: Number(endpoint.port) });
  expect(endpoint.hostname).toBe(host);
});
