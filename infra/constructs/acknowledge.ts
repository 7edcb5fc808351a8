/**
 * Why a rule of cdk-nag (AwsSolutions) that looks violated is not, or on purpose: whoever checks a stack with Tidemark in
 * it gets no findings that they would have to explain. Without cdk-nag these are notes in the cloud assembly.
 */
import { Stack, Validations } from "aws-cdk-lib";
import type { IConstruct } from "constructs";

export const REASONS = {
  accessLogs:
    "Every writer of this bucket is a function whose log says what it wrote, and who else may write is denied by the bucket's policy. Log data events with CloudTrail where reads must be audited.",
  networkInterfaces:
    "Lambda makes and removes network interfaces with the function's role; the permissions have to be there before an interface has an ARN. AWS's managed policy for it has the same actions on the same resource.",
  node22: "Node 22 is what Tidemark is tested on. It is a supported LTS release, and set in one place.",
  traces: "X-Ray has no resources that a permission to write traces could name.",
  objectNames:
    "Checkpoints, generations and letters are objects whose names are made at run time. Only those under this prefix can be touched.",
} as const;

/** @param rule cdk-nag's name of the finding */
export function acknowledge(scope: IConstruct, rule: string, reason: string): void {
  Validations.of(scope).acknowledge({ id: rule, reason });
}

/** The name of a finding about a wildcard in a role's permissions, as cdk-nag spells the resource. */
export function wildcardFinding(scope: IConstruct, resource: string): string {
  return `AwsSolutions-IAM5[Resource::${spelt(Stack.of(scope).resolve(resource))}]`;
}

function spelt(resolved: unknown): string {
  if (typeof resolved === "string") return resolved;
  const intrinsic = resolved as {
    readonly Ref?: string;
    readonly "Fn::Join"?: readonly [string, readonly unknown[]];
    readonly "Fn::GetAtt"?: readonly [string, string];
  };
  if (intrinsic["Fn::Join"] !== undefined) {
    const [delimiter, parts] = intrinsic["Fn::Join"];
    return parts.map(spelt).join(delimiter);
  }
  if (intrinsic["Fn::GetAtt"] !== undefined) return `<${intrinsic["Fn::GetAtt"].join(".")}>`;
  if (intrinsic.Ref !== undefined) return `<${intrinsic.Ref}>`;
  return JSON.stringify(resolved);
}
