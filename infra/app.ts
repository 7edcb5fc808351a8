/**
 * What `npx cdk` runs: the example app's stack. What `-c` can say:
 *
 * - `stream=NAME`: read this stream instead of making one;
 * - `module=functions/buggy-app.ts`: deploy another app module;
 * - `removal=destroy`: tables and an empty bucket go with the stack;
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

const module = said("module") ?? "functions/app.ts";
const { default: flights } = (await import(path.resolve(module))) as { readonly default: AppDefinition };
const [stream, removal, existing] = [said("stream"), said("removal"), said("existing")];
if (removal !== undefined && removal !== "destroy") {
  throw new TidemarkError("fix-configuration", `-c removal=${removal}: it can be destroy. Leave it out to retain.`);
}

new ExampleStack(app, said("stack") ?? "TidemarkExample", {
  app: flights,
  module,
  ...(stream === undefined ? {} : { stream }),
  ...(removal === undefined ? {} : { removalPolicy: RemovalPolicy.DESTROY }),
  ...(existing === undefined ? {} : { existing: JSON.parse(existing) as ExistingResources }),
});
