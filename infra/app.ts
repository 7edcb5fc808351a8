/**
 * What `npx cdk` runs: the example app's stack. What `-c` can say:
 *
 * - `stream=NAME`: read this stream instead of making one;
 * - `module=examples/flights/buggy-app.ts`: deploy another app module;
 * - `removal=destroy`: tables, the stream that was made and an empty bucket go with the stack;
 * - `exclusive=false`: reserves no concurrency for the coordinator, for an account that has none to reserve;
 * - `existing={"controlTable":"…","stateTables":{"on-time":"…"},"bucket":"…"}`: go on from what an earlier stack has left;
 * - `stack=NAME`: another stack than TidemarkExample.
 */
import path from "node:path";
import { App, RemovalPolicy } from "aws-cdk-lib";
import type { AppDefinition } from "../shared/app/define-app.ts";
import { TidemarkError } from "../shared/errors.ts";
import type { ExistingResources } from "./constructs/index.ts";
import { ExampleStack } from "./example-stack.ts";

const app = new App();
const said = (name: string): string | undefined => app.node.tryGetContext(name);

const module = said("module") ?? "examples/flights/app.ts";
const { default: flights } = (await import(path.resolve(module))) as { readonly default: AppDefinition };
const [stream, existing] = [said("stream"), said("existing")];

/** Whether an option that takes one word alone is given. */
function isSaid(name: string, word: string, otherwise: string): boolean {
  const given = said(name);
  if (given === undefined || given === word) return given === word;
  throw new TidemarkError("fix-configuration", `-c ${name}=${given}: it can be ${word}. Leave it out ${otherwise}.`);
}

new ExampleStack(app, said("stack") ?? "TidemarkExample", {
  app: flights,
  module,
  ...(stream === undefined ? {} : { stream }),
  ...(isSaid("removal", "destroy", "to retain") ? { removalPolicy: RemovalPolicy.DESTROY } : {}),
  ...(isSaid("exclusive", "false", "to reserve it") ? { exclusive: false } : {}),
  ...(existing === undefined ? {} : { existing: JSON.parse(existing) as ExistingResources }),
});
