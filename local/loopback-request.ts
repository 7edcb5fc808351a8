/** What listens on loopback is reached by every page of a browser and every user of the machine: which requests may be meant. */
import type { IncomingMessage } from "node:http";

const LOOPBACK = /^(?:127\.\d{1,3}\.\d{1,3}\.\d{1,3}|localhost|\[::1\])(?::\d{1,5})?$/i;

/** Why a request is none of a program on this machine; undefined: it may be one, and what it may do is for its secret to say. */
export function foreignRequest({ headers }: Pick<IncomingMessage, "headers">): string | undefined {
  // A name of a page's own that leads to this machine.
  if (!LOOPBACK.test(headers.host ?? "")) return "It is answered on loopback alone, by no other name.";
  if (headers.origin !== undefined) return "No page of a browser is answered.";
  return undefined;
}
