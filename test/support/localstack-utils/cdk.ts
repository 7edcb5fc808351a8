/** Deploys and destroys stacks as their users do: by the CDK's command line. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { runCommand } from "./run-command.ts";

const CDK = "npx cdk --ci --require-approval never --no-notices --progress events";

/** What a stack tells of itself, by the names of its outputs. */
export type StackOutputs = Readonly<Record<string, string>>;

export interface CdkApp {
  /** The command that synthesises it. @default cdk.json's */
  readonly command?: string;
  readonly context?: Readonly<Record<string, string>>;
}

/** Deploys one stack. Takes some 25 s, half of it to bundle the functions. */
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

export async function destroyStack(stack: string, app: CdkApp = {}): Promise<void> {
  const folder = await mkdtemp(path.join(tmpdir(), "tidemark-cdk-"));
  try {
    await runCommand(`${CDK} destroy ${stack} --force --output '${folder}/out' ${flagsOf(app)}`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function flagsOf({ command, context = {} }: CdkApp): string {
  return [
    ...(command === undefined ? [] : [`--app '${command}'`]),
    ...Object.entries(context).map(([name, value]) => `--context '${name}=${value}'`),
  ].join(" ");
}
