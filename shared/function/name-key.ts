/** How messages name a user's key: as it is where its owner reads them, by a hash where logs are kept. */
import { createHash } from "node:crypto";

/** The key as a message shows it. */
export type KeyNamer = (key: string) => string;

const SHOWN_MAX = 40;

/** In quotes, cut after 40 characters. */
export const plainKey: KeyNamer = (key) => JSON.stringify(key.length > SHOWN_MAX ? `${key.slice(0, SHOWN_MAX)}…` : key);

/** The first 16 hexadecimal digits of the SHA-256 of its UTF-8: enough to find the key that somebody asks about. */
export const hashedKey: KeyNamer = (key) => `#${createHash("sha256").update(key).digest("hex").slice(0, 16)}`;
