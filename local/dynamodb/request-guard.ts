/**
 * Who may ask the embedded DynamoDB: whoever has the secret of its home. Any page of a browser and any user of the machine
 * reaches a port of loopback, and the server behind it checks no signature and answers every origin.
 *
 * Invariants:
 * - Nothing reaches the server before its signature (AWS Signature Version 4, over headers and body) was checked with the
 *   home's secret, in constant time.
 * - No request of a browser passes: none with an `Origin`, none whose `Host` is another name than loopback's (a name of
 *   the page's own that leads here), and no answer has a header that shares it with a page.
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { IncomingMessage, RequestListener, Server, ServerResponse } from "node:http";
import { foreignRequest } from "../loopback-request.ts";
import type { Credentials } from "./endpoint-url.ts";

/** As DynamoDB's own. */
const BODY_BYTES_MAX = 16 * 1024 * 1024;
/** A request is signed for so long: what somebody wrote down serves nobody later. As AWS has it. */
const SIGNED_MS = 15 * 60_000;

const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 Credential=([^/,\s]+)\/(\d{8})\/([^/,\s]+)\/dynamodb\/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$/;
const AMZ_DATE = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/;

/** Puts the guard before whatever answers on the server now. */
export function guardRequests(server: Server, credentials: Credentials, now: () => number): void {
  const answering = server.listeners("request") as RequestListener[];
  server.removeAllListeners("request");
  const isSigned = signatureCheck(credentials, now);
  server.on("request", (incoming, outgoing) => {
    const refused = refusalOf(incoming);
    if (refused !== undefined) return refuse(incoming, outgoing, refused);
    bodyOf(incoming).then(
      (body) => {
        if (body === undefined) return refuse(incoming, outgoing, "The request is too large.", 413);
        if (!isSigned(incoming, body)) return refuse(incoming, outgoing, WITHOUT_SECRET);
        for (const answer of answering) answer(incoming, outgoing);
        // It was read already; whoever answers has just begun to listen.
        if (body.length > 0) incoming.emit("data", body);
        incoming.emit("end");
      },
      // Its sender is gone.
      () => incoming.destroy(),
    );
  });
}

const WITHOUT_SECRET =
  "The request is not signed with the secret of this home. The file dynamodb.env in the home has the credentials, for its owner alone.";

/** What is wrong before anything of the body is read. */
function refusalOf({ headers, method, url }: IncomingMessage): string | undefined {
  const foreign = foreignRequest({ headers });
  if (foreign !== undefined) return foreign;
  if (method !== "POST" || url !== "/" || headers.authorization === undefined) return WITHOUT_SECRET;
  return undefined;
}

function refuse(incoming: IncomingMessage, outgoing: ServerResponse, message: string, status = 403): void {
  const body = JSON.stringify({ __type: "com.amazon.coral.service#UnrecognizedClientException", message });
  outgoing.writeHead(status, { "content-type": "application/x-amz-json-1.0", connection: "close" }).end(body);
  // Whatever else it sends is not worth reading.
  outgoing.once("finish", () => incoming.destroy());
}

/** Undefined: it is larger than any request of DynamoDB's. */
async function bodyOf(incoming: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  return new Promise((resolve, reject) => {
    incoming.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > BODY_BYTES_MAX) {
        incoming.removeAllListeners("data");
        incoming.pause();
        resolve(undefined);
      } else {
        chunks.push(chunk);
      }
    });
    incoming.once("end", () => {
      incoming.removeAllListeners("data");
      resolve(Buffer.concat(chunks));
    });
    incoming.once("error", reject);
    incoming.once("close", () => reject(new Error("The connection was closed.")));
  });
}

function signatureCheck(
  { accessKeyId, secretAccessKey }: Credentials,
  now: () => number,
): (incoming: IncomingMessage, body: Buffer) => boolean {
  /** The key of a day and a region, which all requests share. */
  let known: { readonly scope: string; readonly key: Buffer } = { scope: "", key: Buffer.alloc(0) };
  const keyOf = (day: string, region: string): Buffer => {
    const scope = `${day}/${region}`;
    if (known.scope !== scope) {
      const steps = [day, region, "dynamodb", "aws4_request"];
      known = { scope, key: steps.reduce<Buffer>(hmac, Buffer.from(`AWS4${secretAccessKey}`)) };
    }
    return known.key;
  };
  return (incoming, body) => {
    const { headers } = incoming;
    const [, id, day = "", region = "", names = "", signature = ""] =
      AUTHORIZATION.exec(headers.authorization ?? "") ?? [];
    const date = String(headers["x-amz-date"]);
    const signedHeaders = names.split(";");
    if (id !== accessKeyId || !date.startsWith(day) || !signedHeaders.includes("host")) return false;
    if (!(Math.abs(now() - timeOf(date)) <= SIGNED_MS)) return false;
    const canonical = [
      incoming.method,
      "/",
      "",
      ...signedHeaders.map(
        (name) =>
          `${name}:${String(headers[name] ?? "")
            .trim()
            .replace(/ +/g, " ")}`,
      ),
      "",
      names,
      sha256(body),
    ].join("\n");
    const scope = `${day}/${region}/dynamodb/aws4_request`;
    const wanted = hmac(keyOf(day, region), `AWS4-HMAC-SHA256\n${date}\n${scope}\n${sha256(canonical)}`);
    return timingSafeEqual(wanted, Buffer.from(signature, "hex"));
  };
}

function timeOf(date: string): number {
  const [, year, month, day, hour, minute, second] = AMZ_DATE.exec(date) ?? [];
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}

const hmac = (key: Buffer, text: string): Buffer => createHmac("sha256", key).update(text).digest();
const sha256 = (content: string | Buffer): string => createHash("sha256").update(content).digest("hex");
