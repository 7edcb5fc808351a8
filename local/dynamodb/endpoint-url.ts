/** Where a DynamoDB answers and by which credentials, as one URL: `http://KEY:SECRET@127.0.0.1:8000`. */

/** What signs requests. */
export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** Emulators take any credentials, but the SDK asks for some. */
const ANY: Credentials = { accessKeyId: "local", secretAccessKey: "local" };

/** Takes the credentials out of a URL; one without any is an emulator's that takes all. */
export function splitEndpoint(url: string): { readonly endpoint: string; readonly credentials: Credentials } {
  const parsed = new URL(url);
  const { username, password } = parsed;
  parsed.username = "";
  parsed.password = "";
  const endpoint = parsed.href.replace(/\/$/, "");
  if (username === "") return { endpoint, credentials: ANY };
  return {
    endpoint,
    credentials: { accessKeyId: decodeURIComponent(username), secretAccessKey: decodeURIComponent(password) },
  };
}

export function endpointWith({ accessKeyId, secretAccessKey }: Credentials, endpoint: string): string {
  const url = new URL(endpoint);
  url.username = accessKeyId;
  url.password = secretAccessKey;
  return url.href.replace(/\/$/, "");
}
