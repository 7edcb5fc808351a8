/**
 * Tracing is Lambda's own: a function whose tracing is active has its invocations in X-Ray without code of Tidemark's,
 * which carries no tracing library.
 */
import { Tracing } from "aws-cdk-lib/aws-lambda";
import { expect, test } from "vitest";
import { deploy, resourcesOf } from "./deployed-app.ts";

const traced = { lambda: { tracing: Tracing.ACTIVE } };

test("is on in every function whose props say so, with the permission to write segments, and off by default", () => {
  const { template } = deploy(() => ({
    functions: { visits: traced, orders: traced },
    ...{ coordinator: traced, snapshot: traced, restore: traced },
  }));
  const modes = (from: typeof template) =>
    resourcesOf(from, "AWS::Lambda::Function").map(([, { Properties }]) => Properties.TracingConfig);
  expect(modes(template)).toHaveLength(5);
  for (const mode of modes(template)) expect(mode).toEqual({ Mode: "Active" });
  for (const mode of modes(deploy().template)) expect(mode).toBeUndefined();
  const permitted = resourcesOf(template, "AWS::IAM::Policy").filter(([, { Properties }]) =>
    JSON.stringify(Properties).includes("xray:PutTraceSegments"),
  );
  expect(permitted).toHaveLength(5);
});
