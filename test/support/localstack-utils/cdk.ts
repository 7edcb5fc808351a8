/** Deploys stacks as their users do, by the CDK's command line, and has them gone afterwards. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { runCommand, tryCommand } from "./run-command.ts";
import { WAIT_MS, waitUntil } from "./wait-until.ts";

const CDK = "npx cdk --ci --require-approval never --no-notices --progress events";

/** What a stack tells of itself, by the names of its outputs. */
export type StackOutputs = Readonly<Record<string, string>>;

export interface CdkApp {
  /** The command that synthesises it. @default cdk.json's */
  readonly command?: string;
  readonly context?: Readonly<Record<string, string>>;
}

/** Makes what the CDK deploys with, where it is not there yet. */
export async function bootstrap(): Promise<void> {
  const bootstrapped = await tryCommand("aws cloudformation describe-stacks --stack-name CDKToolkit");
  if (bootstrapped.code !== 0) await runCommand("npx cdk bootstrap");
}

/** Deploys one stack, in a bootstrapped account. Takes some 25 s, half of it to bundle the functions. */
export async function deployStack(stack: string, app: CdkApp = {}): Promise<StackOutputs> {
  const folder = await mkdtemp(path.join(tmpdir(), "tidemark-cdk-"));
  try {
    const outputs = path.join(folder, "outputs.json");
    await runCommand(`${CDK} deploy ${stack} --outputs-file '${outputs}' --output '${folder}/out' ${flagsOf(app)}`);
    return (JSON.parse(await readFile(outputs, "utf8")) as Record<string, StackOutputs>)[stack] ?? {};
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Deletes a stack, as `cdk destroy` does after a synthesis that nobody needs here. On LocalStack its tables go too, whatever
 * is to be retained, and a bucket that holds something stays.
 */
export async function destroyStack(stack: string): Promise<void> {
  await runCommand(`aws cloudformation delete-stack --stack-name ${stack}`);
  await waitUntil(`the stack ${stack} is gone`, { timeoutMs: WAIT_MS, pollMs: 1_000 }, async () => {
    const { stdout, code } = await tryCommand(
      `aws cloudformation describe-stacks --stack-name ${stack} --query 'Stacks[0].StackStatus' --output text`,
    );
    return code !== 0 || /^DELETE_(COMPLETE|FAILED)/.test(stdout);
  });
}

function flagsOf({ command, context = {} }: CdkApp): string {
  return [
    ...(command === undefined ? [] : [`--app '${command}'`]),
    ...Object.entries(context).map(([name, value]) => `--context '${name}=${value}'`),
  ].join(" ");
}
