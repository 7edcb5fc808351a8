/** The AWS that these tests run on: the endpoint that is given, else a container where Docker runs, else none. */
import type { StartedLocalStackContainer } from "@testcontainers/localstack";
import { HOST_FLAG, IN_CONTAINERS_VARIABLE } from "./function-containers.ts";

/** The last image that runs without a token. */
const IMAGE = "localstack/localstack:4.14.0";
/** LocalStack removes the functions' containers when it stops, which takes it seconds. */
const STOP_MS_MAX = 60_000;

export interface LocalStack {
  readonly url: string;
  /** Whether it runs in a container, and functions do so beside it. */
  readonly inContainer: boolean;
  /** Nothing, for one that was given: it belongs to somebody else. */
  stop(): Promise<void>;
}

export class NoLocalStackError extends Error {
  constructor(cause: unknown) {
    super(
      [
        "These tests need a LocalStack, and there is none. Either",
        `  - start Docker, which starts ${IMAGE} for the tests and removes it after them (now: ${messageOf(cause)}); or`,
        "  - name the endpoint of one that runs: AWS_ENDPOINT_URL=http://127.0.0.1:4566 npm run test:localstack",
      ].join("\n"),
      { cause },
    );
    this.name = "NoLocalStackError";
  }
}

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));

/**
 * @throws NoLocalStackError when no endpoint is given and no container runs here
 * @throws Error when an endpoint is given and no LocalStack answers there
 */
export async function startLocalStack(given = process.env.AWS_ENDPOINT_URL): Promise<LocalStack> {
  if (given === undefined || given === "") return startContainer();
  try {
    const answer = await fetch(new URL("/_localstack/info", given), { signal: AbortSignal.timeout(10_000) });
    if (!answer.ok) throw new Error(`it answers ${answer.status}`);
    const { is_docker: inContainer } = (await answer.json()) as { readonly is_docker: boolean };
    return { url: given, inContainer, stop: async () => {} };
  } catch (cause) {
    throw new Error(
      `No LocalStack answers at AWS_ENDPOINT_URL=${given}. Start it, or unset the variable to have one started by Docker.`,
      { cause },
    );
  }
}

async function startContainer(): Promise<LocalStack> {
  let container: StartedLocalStackContainer;
  // Loaded here: with an endpoint given, nobody needs Docker's client.
  const { LocalstackContainer } = await import("@testcontainers/localstack");
  const { getContainerRuntimeClient } = await import("testcontainers");
  try {
    const { remoteSocketPath } = (await getContainerRuntimeClient()).info.containerRuntime;
    container = await new LocalstackContainer(IMAGE)
      // LocalStack runs functions as containers beside its own.
      .withBindMounts([{ source: remoteSocketPath, target: "/var/run/docker.sock" }])
      .withEnvironment({
        LAMBDA_IGNORE_ARCHITECTURE: "1",
        // Kinesis would write every record of every stream to disk each five seconds, and answer nothing meanwhile.
        KINESIS_PERSISTENCE: "0",
        // Functions reach the servers of these tests.
        LAMBDA_DOCKER_FLAGS: HOST_FLAG,
      })
      .start();
  } catch (cause) {
    throw new NoLocalStackError(cause);
  }
  return {
    url: container.getConnectionUri(),
    inContainer: true,
    stop: async () => {
      await container.stop({ timeout: STOP_MS_MAX });
    },
  };
}

/** What makes a process (the CDK, the AWS CLI, an SDK, a test) talk to this LocalStack, with its test credentials. */
export function localStackEnvironment({ url, inContainer }: LocalStack): Readonly<Record<string, string>> {
  return {
    AWS_ENDPOINT_URL: url,
    // Named for itself, the endpoint is addressed with the bucket in the path.
    AWS_ENDPOINT_URL_S3: url,
    AWS_ACCESS_KEY_ID: "test",
    AWS_SECRET_ACCESS_KEY: "test",
    AWS_REGION: "us-east-1",
    AWS_DEFAULT_REGION: "us-east-1",
    AWS_PAGER: "",
    [IN_CONTAINERS_VARIABLE]: inContainer ? "1" : "",
  };
}
