/** Signs with an HMAC key of AWS KMS, which never leaves it. */
import { GenerateMacCommand, type KMSClient, VerifyMacCommand } from "@aws-sdk/client-kms";
import { describeThrown, TidemarkError } from "../../errors.ts";
import type { Signer } from "./signed-storage.ts";

/** KMS makes codes with keys of the spec HMAC_256 by this alone. */
const ALGORITHM = "HMAC_SHA_256";

/** By which KMS says that nothing is wrong with the request, only with the moment. */
const TRANSIENT =
  /^(?:ThrottlingException|DependencyTimeoutException|KMSInternalException|KeyUnavailableException|TimeoutError|NetworkingError|InternalFailure|ServiceUnavailable|ECONN|EPIPE)/;

/**
 * A signer by the key of this ARN, id or alias. One request for each call: $0.03 for 10,000 of them
 * (https://aws.amazon.com/kms/pricing/, 2026-11).
 */
export function kmsSigner(client: Pick<KMSClient, "send">, key: string): Signer {
  return {
    key,
    async sign(message) {
      const command = new GenerateMacCommand({ KeyId: key, MacAlgorithm: ALGORITHM, Message: message });
      const { Mac } = await client.send(command).catch((thrown) => {
        throw explain(thrown, key, "kms:GenerateMac");
      });
      return Buffer.from(Mac ?? []).toString("base64");
    },
    async verify(message, mac) {
      const bytes = Buffer.from(mac, "base64");
      // KMS refuses an empty code as a request that is malformed.
      if (bytes.byteLength === 0) return false;
      const command = new VerifyMacCommand({ KeyId: key, MacAlgorithm: ALGORITHM, Message: message, Mac: bytes });
      try {
        return (await client.send(command)).MacValid === true;
      } catch (thrown) {
        if ((thrown as Error).name === "KMSInvalidMacException") return false;
        throw explain(thrown, key, "kms:VerifyMac");
      }
    },
  };
}

function explain(thrown: unknown, key: string, permission: string): TidemarkError {
  const said = `KMS said: ${describeThrown(thrown)}`;
  if (TRANSIENT.test((thrown as Error).name) || TRANSIENT.test((thrown as { code?: string }).code ?? "")) {
    return new TidemarkError("retry", `The key ${key} cannot be used now. Try again later. ${said}`, { cause: thrown });
  }
  return new TidemarkError(
    "fix-configuration",
    `The key ${key}, with which checkpoints are signed, cannot be used. It must be an HMAC key of the spec HMAC_256 that is enabled, and its policy and the function's role must allow ${permission}: deploy the app again, or enable the key. ${said}`,
    { cause: thrown },
  );
}
