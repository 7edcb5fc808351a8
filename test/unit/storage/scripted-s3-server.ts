/** A server that gives S3's own answers, one after the other: for what no emulator can be made to say. */
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { S3Client } from "@aws-sdk/client-s3";

export interface ScriptedAnswer {
  readonly status: number;
  /** S3's error code, in an XML body as S3 sends it. */
  readonly code?: string;
  readonly message?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** The connection breaks: before any answer (0), or after so many bytes of the body. */
  readonly breaksAfterBytes?: number;
}

export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
}

export interface ScriptedS3 {
  readonly client: S3Client;
  readonly endpoint: string;
  readonly seen: readonly SeenRequest[];
  readonly stop: () => Promise<void>;
}

/** Answers request n with answer n, and every further one with the last. */
export async function startScriptedS3(answers: readonly ScriptedAnswer[], maxAttempts = 1): Promise<ScriptedS3> {
  const seen: SeenRequest[] = [];
  const server = createServer(async (request, response) => {
    request.resume();
    await once(request, "end");
    const answer = answers[Math.min(seen.length, answers.length - 1)] ?? { status: 500 };
    seen.push({ method: request.method ?? "", url: request.url ?? "", headers: request.headers });
    if (answer.breaksAfterBytes === 0) return void request.socket.destroy();
    const xml = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${answer.code}</Code><Message>${answer.message ?? "It was refused."}</Message></Error>`;
    const body = answer.body ?? (answer.code === undefined ? "" : xml);
    response.writeHead(answer.status, { ...answer.headers, "content-length": Buffer.byteLength(body) });
    if (answer.breaksAfterBytes === undefined) return void response.end(body);
    response.write(body.slice(0, answer.breaksAfterBytes), () => request.socket.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const credentials = { accessKeyId: "test", secretAccessKey: "test" };
  const client = new S3Client({ endpoint, region: "eu-west-1", forcePathStyle: true, credentials, maxAttempts });
  const stop = async (): Promise<void> => {
    client.destroy();
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  };
  return { client, endpoint, seen, stop };
}
