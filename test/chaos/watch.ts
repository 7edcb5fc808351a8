/** Looks at control and splits from outside, past the proxy: what the app has come to, whatever its processes say. */
import { HASH_CHAIN, ON_TIME } from "../../examples/flights/demo/stage.ts";
import { type LocalSurroundings, localSurroundings } from "../../local/surroundings.ts";
import type { Control } from "../../shared/control/control.ts";
import { readControl } from "../../shared/control/control-steps.ts";
import { DynamoDBControlStore } from "../../shared/control/dynamodb/dynamodb-control-store.ts";
import { listSplits } from "../../shared/control/split-steps.ts";
import { rowOfPosition } from "../../shared/source/file/file-position.ts";
import type { Service } from "./service.ts";
import type { Amid } from "./tally.ts";

const FUNCTIONS = [ON_TIME, HASH_CHAIN];

export interface Look {
  readonly control: Control;
  /** Flights that every function is past. */
  readonly folded: number;
  /** Every split runs and belongs to the live generation. */
  readonly settled: boolean;
  /** Changes with everything that happens. */
  readonly digest: string;
}

export class Watch {
  /** The last look that was answered. */
  last: Look | undefined;
  private readonly service: Service;
  private readonly table: string;
  private surroundings: LocalSurroundings | undefined;
  private endpoint: string | undefined;

  constructor(service: Service, controlTable: string) {
    this.service = service;
    this.table = controlTable;
  }

  /** Undefined: the service does not answer, or there is no control yet. */
  async look(): Promise<Look | undefined> {
    try {
      const store = await this.store();
      const control = await readControl(store);
      if (control === undefined) return undefined;
      const rows: number[] = [];
      let settled = control.phase === "RUNNING";
      const seen: unknown[] = [control.epoch, control.maxGen, control.phase, control.checkpoint?.status];
      for (const name of FUNCTIONS) {
        let row = 0;
        for await (const { split, item } of listSplits(store, name)) {
          if (item === "unborn") continue;
          row += rowOfPosition(item.position);
          settled &&= item.phase === "RUNNING" && item.gen === control.gen && item.position === item.attemptedTo;
          seen.push(split, item.position, item.gen, item.phase);
        }
        rows.push(row);
      }
      this.last = { control, folded: Math.min(...rows), settled, digest: JSON.stringify(seen) };
      return this.last;
    } catch {
      return undefined;
    }
  }

  /** What goes on at this moment. */
  async amid(): Promise<Amid> {
    const control = (await this.look())?.control;
    if (control?.phase === "REPLAYING") return "restore";
    return control?.checkpoint?.open === true ? "checkpoint" : undefined;
  }

  close(): void {
    this.surroundings?.close();
  }

  private async store(): Promise<DynamoDBControlStore> {
    if (this.endpoint !== this.service.endpoint) {
      this.surroundings?.close();
      this.endpoint = this.service.endpoint;
      this.surroundings = localSurroundings(this.endpoint, () => {});
    }
    const { clock, randomness, dynamodb } = this.surroundings as LocalSurroundings;
    return new DynamoDBControlStore({ client: await dynamodb(), clock, randomness, table: this.table });
  }
}
