/** Lambda's limit on a function's environment, held at synth: a deployment would find out after the tables are made. */
import { CfnResource, Stack } from "aws-cdk-lib";
import type { IConstruct } from "constructs";
import { TidemarkError } from "../../shared/errors.ts";

/** https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: all variables together, as JSON. */
const ENVIRONMENT_BYTES_MAX = 4_096;

/** The longest names that CloudFormation makes, by type of resource. */
const NAME_LENGTH_MAX: Readonly<Record<string, number>> = {
  "AWS::Kinesis::Stream": 128,
  "AWS::Lambda::EventSourceMapping": 36,
  "AWS::Lambda::Function": 64,
  "AWS::S3::Bucket": 63,
};
/** CloudFormation's names of everything else: the stack's, the resource's, two hyphens and 13 random letters. */
const TABLE_NAME_LENGTH_MAX = 255;
const RANDOM_LENGTH = 15;
/** A value of another kind, such as a parameter or an import: an ARN is not longer as a rule. */
const OTHER_LENGTH = 128;

/** @throws TidemarkError `fix-configuration` when the variables may take more than Lambda allows */
export function checkEnvironment(scope: IConstruct, environment: { readonly [variable: string]: string }): void {
  const stack = Stack.of(scope);
  const lengths = lengthsOfNames(stack);
  const longest = Object.fromEntries(
    Object.entries(environment).map(([name, value]) => [name, written(stack.resolve(value), lengths)]),
  );
  const bytes = Buffer.byteLength(JSON.stringify(longest));
  if (bytes <= ENVIRONMENT_BYTES_MAX) return;
  throw new TidemarkError(
    "fix-configuration",
    `The environment of ${scope.node.path} may take ${bytes} bytes; Lambda allows ${ENVIRONMENT_BYTES_MAX}. Each function of the app takes its part of it: divide the app into several, shorten the names of its functions or of the stack, or set fewer variables in lambda.environment.`,
  );
}

function lengthsOfNames(stack: Stack): ReadonlyMap<string, number> {
  const lengths = new Map<string, number>();
  for (const found of stack.node.findAll()) {
    if (!CfnResource.isCfnResource(found) || Stack.of(found) !== stack) continue;
    const logicalId = stack.resolve(found.logicalId) as string;
    const named = Math.min(TABLE_NAME_LENGTH_MAX, stack.stackName.length + logicalId.length + RANDOM_LENGTH);
    lengths.set(logicalId, Math.min(NAME_LENGTH_MAX[found.cfnResourceType] ?? TABLE_NAME_LENGTH_MAX, named));
  }
  return lengths;
}

/** A resolved value with every name at its longest. */
function written(resolved: unknown, lengths: ReadonlyMap<string, number>): string {
  if (typeof resolved === "string") return resolved;
  const { Ref, "Fn::Join": join } = resolved as {
    readonly Ref?: string;
    readonly "Fn::Join"?: readonly [string, readonly unknown[]];
  };
  if (join !== undefined) return join[1].map((part) => written(part, lengths)).join(join[0]);
  return "x".repeat((Ref === undefined ? undefined : lengths.get(Ref)) ?? OTHER_LENGTH);
}
