import { HeapControlStore } from "../../shared/control/heap/heap-control-store.ts";
import { controlContract } from "./control-contract.ts";

controlContract("heap", async () => ({ store: new HeapControlStore(), close: async () => {} }));
