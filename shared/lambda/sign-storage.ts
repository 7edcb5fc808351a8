import type { Settings } from "../runtime/settings.ts";
import type { CheckpointStorage } from "../storage/checkpoint-storage.ts";

/** The storage of a deployment that signs its checkpoints; itself, for one that does not. Costs no request. */
export async function signStorage(
  storage: CheckpointStorage,
  { app, signingKey }: Settings,
): Promise<CheckpointStorage> {
  if (signingKey === undefined) return storage;
  // Loaded here: most deployments sign nothing.
  const [{ KMSClient }, { kmsSigner }, { SignedStorage }] = await Promise.all([
    import("@aws-sdk/client-kms"),
    import("../storage/signed/kms-signer.ts"),
    import("../storage/signed/signed-storage.ts"),
  ]);
  const client = new KMSClient({ requestHandler: { connectionTimeout: 3_000, socketTimeout: 20_000 } });
  return new SignedStorage(storage, { signer: kmsSigner(client, signingKey), app: app.name });
}
