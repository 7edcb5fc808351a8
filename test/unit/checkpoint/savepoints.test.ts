import { describe, expect, test } from "vitest";
import { chooseCheckpoint } from "../../../shared/checkpoint/choose-checkpoint.ts";
import { runCoordinator } from "../../../shared/checkpoint/coordinator.ts";
import { type CheckpointRequest, checkSavepointName, savepointOf } from "../../../shared/checkpoint/savepoints.ts";
import { readControl } from "../../../shared/control/control-steps.ts";
import { CheckpointWorld } from "./checkpoint-world.ts";

const take = (world: CheckpointWorld, request?: CheckpointRequest) =>
  runCoordinator(world.resources(), {
    deadlineMs: Number.POSITIVE_INFINITY,
    pollMs: 1,
    ...(request === undefined ? {} : { request }),
  });
const named = (world: CheckpointWorld, savepoint: string) =>
  chooseCheckpoint(world.storage, "flights", undefined, { savepoint });
const kept = async (world: CheckpointWorld) => (await readControl(world.control))?.kept;

describe("a savepoint's name", () => {
  test.each(["a", "before-v1.2", "2026_01_31", "X".repeat(64)])("may be %j", (name) => {
    checkSavepointName(name);
  });

  test.each(["", " ", "a b", "../a", "a/b", ".a", "-a", "é", "日本", "a\n", "\u001b[2J", "X".repeat(65), 7])(
    "may not be %j, and nothing is taken",
    async (name) => {
      const world = new CheckpointWorld();
      await world.fold("s", 1, "a");
      await expect(take(world, { savepoint: name as string })).rejects.toMatchObject({ kind: "fix-configuration" });
      expect(await world.objects("checkpoints")).toEqual([]);
    },
  );

  test("that another savepoint has is refused, and no checkpoint is begun", async () => {
    const world = new CheckpointWorld();
    await world.fold("s", 1, "a");
    await take(world, { savepoint: "base" });
    await expect(take(world, { savepoint: "base" })).rejects.toMatchObject({
      kind: "fix-configuration",
      message: expect.stringMatching(/There is a savepoint base already: checkpoint 1, of .*--replace/s),
    });
    expect((await readControl(world.control))?.epoch).toBe(1);
    await take(world, { savepoint: "other" });
    expect((await named(world, "base")).checkpoint).toBe(1);
  });

  test("is free again when the checkpoint that was to have it was aborted", async () => {
    const world = new CheckpointWorld({ timeoutMs: 10 });
    await world.fold("s", 1, "a", { dies: true });
    expect(await take(world, { savepoint: "base" })).toMatchObject({ outcome: "aborted" });
    await world.fold("s", 1, "a");
    expect(await take(world, { savepoint: "base" })).toMatchObject({ outcome: "completed", checkpoint: 2 });
  });

  test("that is replaced leads to the new one, and the old one goes by retention", async () => {
    const world = new CheckpointWorld({ retained: 1 });
    await world.fold("s", 1, "a");
    await take(world, { savepoint: "base" });
    expect(await kept(world)).toEqual([]);
    await world.fold("s", 2, "a");
    expect(await take(world, { savepoint: "base", replace: true })).toMatchObject({ checkpoint: 2 });
    expect((await named(world, "base")).checkpoint).toBe(2);
    // It is the only one that retention knows, and stays until there are more than are kept.
    expect(await kept(world)).toEqual([1]);
    await take(world, {});
    expect(await kept(world)).toEqual([3]);
    expect((await named(world, "base")).checkpoint).toBe(2);
    await expect(chooseCheckpoint(world.storage, "flights", undefined, { checkpoint: 1 })).rejects.toThrow(
      "was deleted",
    );
  });

  test("stays with the old one when the one that was to replace it is aborted", async () => {
    const world = new CheckpointWorld({ timeoutMs: 10 });
    await world.fold("s", 1, "a");
    await take(world, { savepoint: "base" });
    await world.fold("s", 2, "a", { dies: true });
    expect(await take(world, { savepoint: "base", replace: true })).toMatchObject({ outcome: "aborted" });
    expect((await named(world, "base")).checkpoint).toBe(1);
    expect(await kept(world)).not.toContain(1);
  });

  test("is had by one of two that ask for it at once, and the other is refused", async () => {
    const world = new CheckpointWorld();
    await world.fold("s", 1, "a");
    const both = await Promise.allSettled(["one", "two"].map((token) => take(world, { savepoint: "base", token })));
    // Whoever is late may have carried on the other's; asked again, it is told so.
    const again = await Promise.allSettled(["one", "two"].map((token) => take(world, { savepoint: "base", token })));
    expect(both.some(({ status }) => status === "fulfilled")).toBe(true);
    expect(again.filter(({ status }) => status === "rejected")).toHaveLength(1);
    const found = await Promise.all(
      ["one", "two"].map((token) => savepointOf(world.storage, "flights", { savepoint: "base", token })),
    );
    expect(found.filter((one) => one !== undefined)).toMatchObject([{ n: 1, savepoint: "base", status: "COMPLETED" }]);
  });

  test("is the same savepoint's when the same request is made again, though others have begun since", async () => {
    const world = new CheckpointWorld();
    await world.fold("s", 1, "a");
    await take(world, { savepoint: "base", token: "mine" });
    await take(world, { savepoint: "base", token: "mine" });
    expect((await readControl(world.control))?.epoch).toBe(1);
    await take(world, {});
    await take(world, { savepoint: "base", token: "mine", replace: true });
    expect((await readControl(world.control))?.epoch).toBe(2);
  });
});
