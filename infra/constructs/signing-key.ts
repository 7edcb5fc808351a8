/** The key by which an app's manifests are signed. */
import { RemovalPolicy } from "aws-cdk-lib";
import { type IKey, Key, KeySpec, KeyUsage } from "aws-cdk-lib/aws-kms";
import type { Construct } from "constructs";

/** @returns undefined: nothing is signed */
export function signingKey(scope: Construct, app: string, signing: boolean | IKey | undefined): IKey | undefined {
  if (signing === undefined || signing === false) return undefined;
  if (signing !== true) return signing;
  return new Key(scope, "SigningKey", {
    description: `Tidemark: signs the checkpoints of ${app}`,
    keySpec: KeySpec.HMAC_256,
    keyUsage: KeyUsage.GENERATE_VERIFY_MAC,
    // Without it no checkpoint that it signed can be restored.
    removalPolicy: RemovalPolicy.RETAIN,
  });
}
