import { expect, it } from "vitest";
import { carryOnRestore } from "../../../shared/restore/carry-on.ts";
import { requestRestore } from "../../../shared/restore/restore.ts";
import { restoreStatus } from "../../../shared/restore/status.ts";
import { interleaved } from "../../support/failing-stores.ts";
import { RestoreWorld } from "../../support/restore-world.ts";

it("tells the phase of a restore, its parts, and each split's way to until", async () => {
  const world = new RestoreWorld();
  expect(await restoreStatus(world.resources())).toEqual({ phase: "none", partsLoaded: 0, partsTotal: 0, splits: [] });
  await world.deliver("s", 1, 4);
  await world.checkpoint();
  await world.deliver("s", 5, 9);

  await requestRestore(world.resources());
  world.clock.ms += 3_000;
  const loading = await restoreStatus(world.resources());
  expect(loading).toMatchObject({
    phase: "loading",
    checkpoint: 1,
    generation: 2,
    partsLoaded: 0,
    partsTotal: 3,
    seconds: 3,
  });
  expect(loading.splits).toEqual([{ function: "log", split: "s", phase: "WAITING", position: "000009" }]);

  let duringLoad: unknown;
  let writes = 0;
  const state = interleaved(
    world.stores.state,
    (name) => name === "write" && ++writes === 3,
    async () => {
      duringLoad = await restoreStatus(world.resources());
    },
  );
  const during: unknown[] = [];
  const replay = world.replayer();
  await carryOnRestore(world.resources({ state }), {
    ...{ deadlineMs: Number.POSITIVE_INFINITY, partConcurrency: 1 },
    replay: async (request) => {
      during.push(await restoreStatus(world.resources()));
      return replay(request);
    },
  });
  expect(duringLoad).toMatchObject({ phase: "loading", partsLoaded: 2 });
  const splits = (position: string) => [{ function: "log", split: "s", phase: "REPLAYING", position, until: "000009" }];
  expect(during).toMatchObject([
    { phase: "replaying", partsLoaded: 3, splits: splits("000004") },
    { phase: "replaying", splits: splits("000007") },
  ]);

  world.clock.ms += 60_000;
  expect(await restoreStatus(world.resources())).toMatchObject({
    phase: "finished",
    checkpoint: 1,
    generation: 2,
    seconds: 3,
  });
});
