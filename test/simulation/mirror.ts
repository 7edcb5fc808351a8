/** What the stores of a history hold, kept as text beside them: to tell one state from another. */
import type { ConditionalWrite } from "../../shared/control/conditional-write.ts";
import type { ItemKey, UpdateAnswer } from "../../shared/control/control-store.ts";
import type { StateScope } from "../../shared/state/state-backend.ts";
import type { StateItem } from "../../shared/state/state-item.ts";
import type { Watcher } from "./world-stores.ts";

export class Mirror implements Watcher {
  /** Control items and objects: where -> a short name for both, where and what. */
  readonly #held = new Map<string, string>();
  /** State items, in the order in which a scan meets them. */
  readonly #states = new Map<string, string>();
  readonly #watcher: Watcher;
  readonly #named: (text: string) => string;

  /** @param named - gives a short name to a long text */
  constructor(watcher: Watcher, named: (text: string) => string) {
    this.#watcher = watcher;
    this.#named = named;
  }

  /** Equal exactly where what the stores hold is. */
  get text(): string {
    return `${[...this.#held.values()].sort().join()};${[...this.#states.values()].join()}`;
  }

  #hold(held: Map<string, string>, place: string, content: string): void {
    held.set(place, this.#named(`${place}=${content}`));
  }

  control(key: ItemKey, write: ConditionalWrite, answer: UpdateAnswer): void {
    if (answer.applied) this.#hold(this.#held, `${key.partition}/${key.sort}`, JSON.stringify(answer.after));
    this.#watcher.control(key, write, answer);
  }
  controlRemoved(key: ItemKey): void {
    this.#held.delete(`${key.partition}/${key.sort}`);
    this.#watcher.controlRemoved(key);
  }
  state(functionName: string, item: StateItem, written: boolean): void {
    if (written) this.#hold(this.#states, `${item.generation}:${item.key}`, JSON.stringify(item));
    this.#watcher.state(functionName, item, written);
  }
  stateRemoved(scope: StateScope, key: string | undefined): void {
    if (key !== undefined) this.#states.delete(`${scope.generation}:${key}`);
    this.#watcher.stateRemoved(scope, key);
  }
  object(path: string, body: Uint8Array | undefined): void {
    if (body === undefined) this.#held.delete(path);
    else this.#hold(this.#held, path, Buffer.from(body).toString("utf8"));
    this.#watcher.object(path, body);
  }
}
