/** Once for a run of the tests on LocalStack: an endpoint and a bootstrapped account, or an exit that says what is missing. */
import { bootstrap } from "./cdk.ts";
import { localStackEnvironment, NoLocalStackError, startLocalStack } from "./localstack.ts";
import { runCommand } from "./run-command.ts";

const EXIT_NOT_THERE = 2;

export default async function setup(): Promise<() => Promise<void>> {
  await runCommand("aws --version").catch(() =>
    leave("These tests run the README's own lines, which use the AWS CLI: install `aws` (version 1 or 2) first."),
  );
  const localStack = await startLocalStack().catch((thrown: unknown) =>
    leave(thrown instanceof NoLocalStackError ? thrown.message : String(thrown)),
  );
  // Inherited by the processes that vitest starts for the tests.
  Object.assign(process.env, localStackEnvironment(localStack));
  // Once for all: two test files that find nothing there would both make the same bucket and roles.
  await bootstrap();
  return localStack.stop;
}

function leave(message: string): never {
  console.error(message);
  process.exit(EXIT_NOT_THERE);
}
