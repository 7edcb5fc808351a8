import { MemoryCheckpointStorage } from "../../shared/storage/memory/memory-storage.ts";
import { storageContract } from "./storage-contract.ts";

storageContract(
  "memory",
  async () => {
    const storage = new MemoryCheckpointStorage();
    return { storage, reopened: storage, dispose: () => storage.close() };
  },
  { conditionalWrites: true, listsInCodeOrder: true, heldBytesMax: undefined },
);
