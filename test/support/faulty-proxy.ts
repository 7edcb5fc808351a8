import { createServer, request as httpRequest } from "node:http";
import type { AddressInfo } from "node:net";

/** What becomes of one request: passed on, refused as throttled, answered by something else, or its answer lost. */
export type Fault = "throttle" | "lose-answer" | { readonly answer: object };

/** DynamoDB's wire with faults on it: stands between a client and an endpoint, and asks `fault` about every request. */
export async function startFaultyProxy(
  endpoint: string,
  fault: (operation: string, body: Record<string, unknown>) => Fault | undefined | Promise<Fault | undefined>,
): Promise<{ readonly endpoint: string; close(): Promise<void> }> {
  const server = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = [];
    incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
    incoming.on("end", async () => {
      const body = Buffer.concat(chunks);
      const operation = String(incoming.headers["x-amz-target"]).split(".").at(-1) ?? "";
      const outcome = await fault(operation, JSON.parse(body.toString()) as Record<string, unknown>);
      const reply = (status: number, data: object) => {
        outgoing.writeHead(status, { "content-type": "application/x-amz-json-1.0" }).end(JSON.stringify(data));
      };
      if (outcome === "throttle") {
        return reply(400, {
          __type: "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
          message: "The level of configured provisioned throughput for the table was exceeded.",
        });
      }
      if (typeof outcome === "object") return reply(200, outcome.answer);
      const onward = httpRequest(
        new URL(endpoint),
        { method: incoming.method, headers: incoming.headers, agent: false },
        (answer) => {
          if (outcome !== "lose-answer")
            return void answer.pipe(outgoing.writeHead(answer.statusCode ?? 500, answer.headers));
          answer.resume().on("end", () => incoming.socket.destroy());
        },
      );
      onward.end(body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
