/** An app deployed into a stack of its own, as a template. Nothing is bundled: the test of the CDK app does that. */
import { App, Stack, type StackProps } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";
import { Stream } from "aws-cdk-lib/aws-kinesis";
import { z } from "zod";
import { fromKinesis, TidemarkApp, type TidemarkAppProps } from "../../../infra/constructs/index.ts";
import { type AppDefinition, defineApp, defineFunction } from "../../../shared/index.ts";

export const counting = (name: string) =>
  defineFunction({
    name,
    event: z.object({ user: z.string() }),
    key: ({ user }) => user,
    state: { initial: () => 0 },
    handle: (count) => count + 1,
  });

/** Two functions on one source, a checkpoint every minute. */
export const shop = defineApp({
  name: "shop",
  functions: [
    { function: counting("visits"), source: "clicks" },
    { function: counting("orders"), source: "clicks" },
  ],
  checkpointing: { intervalMs: 60_000 },
});

export function newStack(props?: StackProps): Stack {
  return new Stack(new App({ context: { "aws:cdk:bundling-stacks": [] } }), "Shop", props);
}

/** The props of a deployment that is right. */
export function rightProps(stack: Stack, app: AppDefinition = shop): TidemarkAppProps {
  const stream = new Stream(stack, "Clicks");
  const sources = Object.fromEntries(app.functions.map(({ source }) => [source, fromKinesis(stream)]));
  return { app, module: "examples/flights/app.ts", sources };
}

export interface Deployed {
  readonly stack: Stack;
  readonly app: TidemarkApp;
  readonly template: Template;
}

/** @param more props besides the right ones, made in the stack */
export function deploy(more: (stack: Stack) => Partial<TidemarkAppProps> = () => ({}), props?: StackProps): Deployed {
  const stack = newStack(props);
  const app = new TidemarkApp(stack, "App", { ...rightProps(stack), ...more(stack) });
  let template: Template | undefined;
  return {
    ...{ stack, app },
    /** Taken when it is asked for: nothing can be added to the stack afterwards. */
    get template() {
      template ??= Template.fromStack(stack);
      return template;
    },
  };
}

export interface Resource {
  readonly Type: string;
  // biome-ignore lint/suspicious/noExplicitAny: what CloudFormation takes, whatever it is
  readonly Properties: any;
  readonly DeletionPolicy?: string;
  readonly UpdateReplacePolicy?: string;
}

export function resourcesOf(template: Template, type: string): [string, Resource][] {
  return Object.entries(template.findResources(type)) as [string, Resource][];
}

/** The one resource of a type whose logical id starts so, hashes left out. */
export function resourceOf(template: Template, type: string, id: string): Resource {
  const found = resourcesOf(template, type).filter(([logicalId]) => logicalId.replace(/[0-9A-F]{8}$/, "") === id);
  if (found.length !== 1) {
    throw new Error(`${found.length} of ${resourcesOf(template, type).map(([logicalId]) => logicalId)} are ${id}`);
  }
  return (found[0] as [string, Resource])[1];
}

/** A resolved value as text: what is known at deployment only stands in angle brackets, hashes left out. */
export function spelt(value: unknown): string {
  if (typeof value === "string") return value;
  const intrinsic = value as Record<string, unknown>;
  const name = (id: unknown): string => String(id).replace(/[0-9A-F]{8}$/, "");
  if (intrinsic.Ref !== undefined) return `<${name(intrinsic.Ref)}>`;
  if (Array.isArray(intrinsic["Fn::GetAtt"])) {
    return `<${name(intrinsic["Fn::GetAtt"][0])}.${intrinsic["Fn::GetAtt"][1]}>`;
  }
  if (Array.isArray(intrinsic["Fn::Join"])) {
    const [delimiter, parts] = intrinsic["Fn::Join"] as [string, unknown[]];
    return parts.map(spelt).join(delimiter);
  }
  return JSON.stringify(value);
}
