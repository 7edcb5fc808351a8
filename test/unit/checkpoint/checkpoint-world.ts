/**
 * An app of one function over heap stores, with a source and a clock that the test moves. Its handler is the smallest
 * that keeps the batch's protocol, so that these tests stand on the coordinator alone.
 */
import type { AppResources } from "../../../shared/app/app-resources.ts";
import type { CheckpointingMode } from "../../../shared/app/define-app.ts";
import { readManifest } from "../../../shared/checkpoint/parse-manifest.ts";
import { readPart } from "../../../shared/checkpoint/part-file.ts";
import { begin } from "../../../shared/control/begin.ts";
import { HeapControlStore } from "../../../shared/control/heap/heap-control-store.ts";
import { endBatch, passBarrier } from "../../../shared/control/split-steps.ts";
import type { TidemarkEvent } from "../../../shared/observer.ts";
import type { Source, SourceReader } from "../../../shared/source/source.ts";
import { HeapStateBackend } from "../../../shared/state/heap/heap-state-backend.ts";
import { ABSENT, type StateItem } from "../../../shared/state/state-item.ts";
import { MemoryCheckpointStorage } from "../../../shared/storage/memory/memory-storage.ts";

export const FUNCTION = "count";
export const at = (position: number): string => String(position).padStart(4, "0");

export class CheckpointWorld {
  readonly control = new HeapControlStore();
  readonly state = new HeapStateBackend({ pageItems: 2 });
  readonly storage: MemoryCheckpointStorage;
  readonly events: TidemarkEvent[] = [];
  /** Positions that the source still holds, by split. */
  readonly held = new Map<string, string[]>();
  readonly ended = new Set<string>();
  nowMs = Date.UTC(2026, 0, 1);
  #tokens = 0;
  readonly #options: { readonly mode: CheckpointingMode; readonly retained: number; readonly timeoutMs: number };

  constructor(
    options: {
      mode?: CheckpointingMode;
      retained?: number;
      timeoutMs?: number;
      storage?: MemoryCheckpointStorage;
    } = {},
  ) {
    this.storage = options.storage ?? new MemoryCheckpointStorage();
    const { mode = "exactly-once", retained = 2, timeoutMs = 600_000 } = options;
    this.#options = { mode, retained, timeoutMs };
  }

  /** The app's resources, over other stores where a test wraps them. */
  resources(stores: Partial<Pick<AppResources, "control" | "state" | "storage">> = {}): AppResources {
    return {
      app: {
        name: "flights",
        functions: [{ name: FUNCTION, source: "flights", stateVersion: 3 }],
        checkpointing: this.#options,
        deadLetters: { triesMax: 10, maxConsecutiveDeadLetters: 100 },
      },
      control: stores.control ?? this.control,
      state: stores.state ?? this.state,
      storage: stores.storage ?? this.storage,
      sourceOf: () => ({ reader: this.#reader(), retentionMs: async () => undefined }) as unknown as Source,
      clock: {
        now: () => this.nowMs,
        sleep: async (ms) => {
          this.nowMs += ms;
          await new Promise((resolve) => setImmediate(resolve));
        },
      },
      randomness: { fraction: () => 0.5, token: () => `token-${++this.#tokens}` },
      observe: (event) => this.events.push(event),
    };
  }

  #reader(): SourceReader {
    const after = (split: string, position: string): string[] =>
      (this.held.get(split) ?? []).filter((one) => one > position);
    return {
      look: async (split: string, position: string) => ({
        holdsRecords: after(split, position).length > 0,
        ended: this.ended.has(split) && after(split, position).length === 0,
      }),
      holdsAny: async (split: string, range: { after: string; to: string }) =>
        after(split, range.after).some((one) => one <= range.to),
    } as unknown as SourceReader;
  }

  /** One batch of one event; `dies` leaves out the End, `clears` deletes the key. */
  async fold(
    split: string,
    position: number,
    key: string,
    options: { readonly dies?: boolean; readonly clears?: boolean } = {},
  ): Promise<void> {
    const place = { function: FUNCTION, split };
    const here = at(position);
    this.held.set(split, [...new Set([...(this.held.get(split) ?? []), here])]);
    const begun = await begin(this.control, {
      ...{ place, first: here, last: here, role: { phase: "RUNNING" } },
      ...{ birth: { mode: this.#options.mode }, nowMs: this.nowMs },
    });
    if (begun.outcome === "refused") throw new Error("refused");
    const { attempt, clean } = begun;
    const { gen: generation, pendingEpoch } = begun.split;
    let { epoch } = begun.split;
    if (pendingEpoch > epoch && clean) {
      await passBarrier(this.control, place, { attempt, generation, n: pendingEpoch });
      epoch = pendingEpoch;
    }
    const old = (await this.state.load({ function: FUNCTION, generation }, [key])).get(key);
    if (here > (old?.applied[split] ?? "")) {
      const image = old?.state ?? ABSENT;
      const log = image === ABSENT ? [] : (image.value as string[]);
      const before = old !== undefined && old.epoch === epoch ? old.before : image;
      const item: StateItem = {
        key,
        generation,
        v: `${split}-${here}-${attempt}`,
        epoch,
        state: options.clears === true ? ABSENT : { value: [...log, `${split}:${here}`], version: 3 },
        applied: { ...old?.applied, [split]: here },
        ...(before === undefined ? {} : { before }),
      };
      await this.state.write(FUNCTION, item, old?.v);
    }
    if (options.dies === true) return;
    await endBatch(this.control, place, {
      ...{ attempt, generation, phase: "RUNNING", position: here, attemptedTo: here },
      ...{ freshAt: this.nowMs, consecutiveDeadLetters: 0 },
    });
  }

  /** The state in a checkpoint, key by key, through its part files. */
  async image(n: number): Promise<Record<string, unknown>> {
    const manifest = await readManifest(this.storage, { app: "flights", n });
    const image: Record<string, unknown> = {};
    for (const file of manifest.files) {
      for await (const { key, state } of readPart(this.storage, n, file)) {
        if (key in image) throw new Error(`${key} is in checkpoint ${n} twice`);
        image[key] = state;
      }
    }
    return image;
  }

  async positions(n: number): Promise<Record<string, string>> {
    const { functions } = await readManifest(this.storage, { app: "flights", n });
    return Object.fromEntries(functions.flatMap(({ splits }) => splits.map((one) => [one.split, one.position])));
  }

  async objects(prefix = ""): Promise<string[]> {
    const paths: string[] = [];
    for await (const { path } of this.storage.list(prefix)) paths.push(path);
    return paths;
  }
}

/** Counts the calls of stores and fails the `k`-th, before or after it took effect. */
export function failing<Store extends object>(
  store: Store,
  counter: { calls: number; readonly failAt: number; readonly lost: boolean },
): Store {
  return new Proxy(store, {
    get(target, name) {
      const member = Reflect.get(target, name, target);
      if (typeof member !== "function") return member;
      return (...given: unknown[]) => {
        counter.calls += 1;
        const fails = counter.calls === counter.failAt;
        if (fails && !counter.lost) throw new Error(`crash at call ${counter.calls}: ${String(name)}`);
        const answer = member.apply(target, given);
        if (!fails || !(answer instanceof Promise)) return answer;
        return answer.then(() => {
          throw new Error(`answer lost at call ${counter.calls}: ${String(name)}`);
        });
      };
    },
  });
}
