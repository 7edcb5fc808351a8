/** AWS KMS as far as Tidemark uses it, over real HTTP: HMAC keys, by id, that sign and verify. */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { KMSClient } from "@aws-sdk/client-kms";

export interface KmsApi {
  readonly client: KMSClient;
  readonly endpoint: string;
  /** How often it was asked, by the command's name. */
  readonly asked: Map<string, number>;
  /** The name of the error that the next request is answered. */
  readonly failures: string[];
  makeKey(): Promise<string>;
  close(): Promise<void>;
}

interface Asked {
  readonly KeyId: string;
  readonly Message: string;
  readonly MacAlgorithm: string;
  readonly Mac?: string;
}

export async function startKmsApi(): Promise<KmsApi> {
  const keys = new Map<string, Buffer>();
  const asked = new Map<string, number>();
  const failures: string[] = [];

  const answerTo = (command: string, { KeyId, Message, MacAlgorithm, Mac }: Asked): object | string => {
    const failure = failures.shift();
    if (failure !== undefined) return failure;
    const secret = keys.get(KeyId);
    if (secret === undefined) return "NotFoundException";
    if (MacAlgorithm !== "HMAC_SHA_256") return "InvalidKeyUsageException";
    const made = createHmac("sha256", secret).update(Buffer.from(Message, "base64")).digest();
    if (command === "GenerateMac") return { KeyId, MacAlgorithm, Mac: made.toString("base64") };
    const given = Buffer.from(Mac ?? "", "base64");
    if (given.length !== made.length || !timingSafeEqual(given, made)) return "KMSInvalidMacException";
    return { KeyId, MacAlgorithm, MacValid: true };
  };

  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const command = String(request.headers["x-amz-target"]).replace("TrentService.", "");
    asked.set(command, (asked.get(command) ?? 0) + 1);
    const answer = answerTo(command, JSON.parse(Buffer.concat(chunks).toString("utf8")) as Asked);
    const failed = typeof answer === "string";
    response.writeHead(failed ? 400 : 200, { "content-type": "application/x-amz-json-1.1" });
    response.end(JSON.stringify(failed ? { __type: answer, message: `said by a test: ${answer}` } : answer));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = new KMSClient({
    endpoint,
    region: "eu-central-1",
    credentials: { accessKeyId: "test", secretAccessKey: "test" },
    maxAttempts: 1,
  });
  return {
    ...{ client, endpoint, asked, failures },
    async makeKey() {
      const id = randomBytes(8).toString("hex");
      keys.set(id, randomBytes(32));
      return id;
    },
    async close() {
      client.destroy();
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
