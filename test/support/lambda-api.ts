/** Lambda's REST API as far as Tidemark uses it, over real HTTP: functions are what a test says they answer, or do. */
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { LambdaClient } from "@aws-sdk/client-lambda";

export interface Invocation {
  readonly function: string;
  readonly type: string;
  readonly payload: unknown;
}

interface Answer {
  readonly status?: number;
  readonly errorType?: string;
  readonly functionError?: string;
  readonly body?: unknown;
}

export interface LambdaApi {
  readonly client: LambdaClient;
  readonly endpoint: string;
  /** Functions that run, by their name; any other answers that it is done. */
  readonly handlers: Map<string, (payload: unknown) => Promise<unknown>>;
  /** Waits for the invocations that nobody waits for. */
  idle(): Promise<void>;
  readonly invocations: Invocation[];
  readonly mappings: Map<string, Record<string, unknown>>;
  /** What the next requests are answered, before anything else. */
  readonly answers: Answer[];
  close(): Promise<void>;
}

export async function startLambdaApi(): Promise<LambdaApi> {
  const invocations: Invocation[] = [];
  const mappings = new Map<string, Record<string, unknown>>();
  const answers: Answer[] = [];
  const handlers: LambdaApi["handlers"] = new Map();
  const running = new Set<Promise<unknown>>();

  const run = async (name: string, type: string, payload: unknown): Promise<Answer> => {
    const handler = handlers.get(name);
    if (handler === undefined) return { body: { outcome: "done" } };
    const answer = handler(payload).then(
      (body): Answer => ({ body }),
      (thrown: Error): Answer => ({
        functionError: "Unhandled",
        body: { errorType: thrown.name, errorMessage: thrown.message },
      }),
    );
    if (type === "RequestResponse") return answer;
    running.add(answer);
    void answer.finally(() => running.delete(answer));
    return { status: 202 };
  };

  const answerTo = async (request: IncomingMessage): Promise<Answer> => {
    const body = await textOf(request);
    const [, , room, name = ""] = new URL(request.url ?? "", "http://x").pathname.split("/");
    if (room === "functions") {
      invocations.push({
        function: decodeURIComponent(name),
        type: String(request.headers["x-amz-invocation-type"]),
        payload: JSON.parse(body),
      });
    }
    const planned = answers.shift();
    if (planned !== undefined) return planned;
    const invoked = invocations.at(-1);
    if (room === "functions" && invoked !== undefined) return run(invoked.function, invoked.type, invoked.payload);
    const mapping = mappings.get(name);
    if (mapping === undefined) return { status: 404, errorType: "ResourceNotFoundException", body: {} };
    if (request.method === "PUT") {
      const { Enabled } = JSON.parse(body) as { Enabled: boolean };
      mappings.set(name, { ...mapping, State: Enabled ? "Enabling" : "Disabling" });
    }
    return { body: mappings.get(name) };
  };

  const server = createServer((request, response) => {
    void answerTo(request).then(({ status = 200, errorType, functionError, body }) => {
      response.writeHead(status, {
        "content-type": "application/json",
        ...(errorType === undefined ? {} : { "x-amzn-errortype": errorType }),
        ...(functionError === undefined ? {} : { "x-amz-function-error": functionError }),
      });
      response.end(body === undefined ? "" : JSON.stringify(body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = new LambdaClient({
    endpoint,
    region: "eu-central-1",
    credentials: { accessKeyId: "test", secretAccessKey: "test" },
    maxAttempts: 1,
  });
  return {
    ...{ client, endpoint, handlers, invocations, mappings, answers },
    async idle() {
      while (running.size > 0) await Promise.all(running);
    },
    async close() {
      client.destroy();
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}
