/**
 * Whose a table or a place is. In every case: what another claims is not touched, and a refusal changes nothing at all.
 */
import { describe, expect, test } from "vitest";
import {
  type Claim,
  type Claimant,
  type ClaimPlace,
  checkClaims,
  claimAll,
  failedUnclaimed,
  takeOver,
} from "../../../shared/app/claim.ts";
import { TidemarkError } from "../../../shared/errors.ts";

/** A place that is kept in memory, and what happened in all places of a test, in order. */
class Places {
  readonly claims = new Map<string, Claim>();
  readonly calls: string[] = [];
  /** Called before a call, to break it or to come before it. */
  before: (call: string) => void = () => {};

  place(name: string): ClaimPlace {
    const call = (doing: string): void => {
      this.before(`${doing} ${name}`);
      this.calls.push(`${doing} ${name}`);
    };
    return {
      name,
      read: async () => {
        call("read");
        return this.claims.get(name);
      },
      create: async (claim) => {
        call("create");
        if (!this.claims.has(name)) this.claims.set(name, claim);
      },
      replace: async (read, claim) => {
        call("replace");
        if (this.claims.get(name)?.id === read.id) this.claims.set(name, claim);
      },
    };
  }

  claimant(more: Partial<Claimant> & { readonly table?: string; readonly bucket?: string } = {}): Claimant {
    const { table = "control", bucket = "bucket", ...rest } = more;
    return {
      ...{ app: "shop", url: "s3://b/shop", control: this.place(table), storage: this.place(bucket) },
      ...{ states: { visits: this.place("visits"), orders: this.place("orders") }, ...rest },
    };
  }
}

let tokens = 0;
const claiming = (prepared: string[] = []) => ({
  randomness: { token: () => `id-${++tokens}`, fraction: () => 0.5 },
  prepare: async () => prepared.push("control"),
});

async function claimed(): Promise<{ readonly places: Places; readonly id: string }> {
  const places = new Places();
  await claimAll(places.claimant(), claiming());
  const id = places.claims.get("control")?.id ?? "";
  places.calls.length = 0;
  return { places, id };
}

const writes = ({ calls }: Places) => calls.filter((call) => !call.startsWith("read"));

async function refusalOf(work: Promise<unknown>): Promise<TidemarkError> {
  const thrown = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(TidemarkError);
  return thrown as TidemarkError;
}

describe("an app whose tables and place nobody has claimed", () => {
  test("may be worked for, and is told so by a check, which changes nothing", async () => {
    const places = new Places();
    expect(await checkClaims(places.claimant())).toBe(false);
    expect(writes(places)).toEqual([]);
  });

  test("says of a refusal meanwhile that the coordinator has to come first, and of all else what it was", () => {
    const cause = Object.assign(new Error("no"), { name: "AccessDeniedException" });
    const denied = new TidemarkError("fix-configuration", "access denied", { cause });
    expect(failedUnclaimed(new Places().claimant(), denied)).toMatchObject({
      ...{
        kind: "retry",
        cause: denied,
        message: expect.stringMatching(/coordinator of the app shop.*access denied/s),
      },
    });
    for (const other of [new TidemarkError("fix-configuration", "no records"), new Error("boom")]) {
      expect(failedUnclaimed(new Places().claimant(), other)).toBe(other);
    }
  });

  test("claims all of them by one id, control itself first, then its table", async () => {
    const places = new Places();
    const prepared: string[] = [];
    await claimAll(places.claimant(), claiming(prepared));
    expect(prepared).toEqual(["control"]);
    expect(writes(places)[0]).toBe("create control");
    expect(new Set([...places.claims.values()].map(({ id }) => id)).size).toBe(1);
    expect(Object.fromEntries(places.claims)).toMatchObject({
      control: { app: "shop", url: "s3://b/shop" },
      bucket: { app: "shop" },
      visits: { app: "shop", function: "visits" },
      orders: { app: "shop", function: "orders" },
    });
    expect(await checkClaims(places.claimant())).toBe(true);
  });

  test("claims what is missing alone, as a function that is new or a run that was broken off leaves it", async () => {
    const { places, id } = await claimed();
    places.claims.delete("orders");
    places.claims.delete("bucket");
    await claimAll(places.claimant(), claiming());
    expect(writes(places).sort()).toEqual(["create bucket", "create orders"]);
    expect(new Set([...places.claims.values()].map((claim) => claim.id))).toEqual(new Set([id]));
  });

  test("reads each place once, and writes nothing, when all are claimed", async () => {
    const { places } = await claimed();
    await claimAll(places.claimant(), claiming());
    expect([...places.calls].sort()).toEqual(["read bucket", "read control", "read orders", "read visits"]);
  });

  test.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])(
    "is claimed by the next run where one broke off before its call %i",
    async (broken) => {
      const places = new Places();
      let calls = 0;
      places.before = () => {
        calls += 1;
        if (calls === broken) throw new Error("died");
      };
      await expect(claimAll(places.claimant(), claiming())).rejects.toThrow("died");
      places.before = () => {};
      await claimAll(places.claimant(), claiming());
      await checkClaims(places.claimant());
    },
  );

  test("is claimed once by two coordinators at a time", async () => {
    const places = new Places();
    await Promise.all([claimAll(places.claimant(), claiming()), claimAll(places.claimant(), claiming())]);
    await checkClaims(places.claimant());
  });
});

describe("what another has claimed", () => {
  test.each<[string, (places: Places) => Claimant, RegExp]>([
    [
      "an app on the control table of another",
      (places) => places.claimant({ app: "other", bucket: "b2", states: {} }),
      /control is claimed by the app shop, checkpoints in s3:\/\/b\/shop/,
    ],
    [
      "an app with its checkpoints elsewhere than its table says",
      (places) => places.claimant({ url: "s3://b/moved", bucket: "b2", states: {} }),
      /control is claimed by the app shop/,
    ],
    [
      "an app in the place of another",
      (places) => places.claimant({ app: "other", table: "t2", states: {} }),
      /bucket is claimed by the app shop/,
    ],
    [
      "another deployment of the app in its place",
      (places) => places.claimant({ table: "t2", states: {} }),
      /bucket is claimed by the app shop/,
    ],
    [
      "an app on a state table of another",
      (places) => places.claimant({ app: "other", table: "t2", bucket: "b2" }),
      /visits is claimed by the app shop, function visits/,
    ],
    [
      "a function on the state table of another one of the app",
      (places) => places.claimant({ states: { visits: places.place("orders") } }),
      /orders is claimed by the app shop, function orders/,
    ],
  ])("is refused to %s, by a check and by who would claim, and nothing is changed", async (_, rival, message) => {
    const { places, id } = await claimed();
    const before = new Map(places.claims);
    for (const work of [checkClaims(rival(places)), claimAll(rival(places), claiming())]) {
      const refusal = await refusalOf(work);
      expect(refusal.kind).toBe("fix-configuration");
      expect(refusal.message).toMatch(message);
      expect(refusal.message).toContain(`{"takeOver":"${id}"}`);
    }
    expect(writes(places)).toEqual([]);
    expect(places.claims).toEqual(before);
    await checkClaims(places.claimant());
  });
});

describe("a take-over", () => {
  const cases: [string, (places: Places) => Claimant][] = [
    [
      "of the place, by new tables",
      (places) => places.claimant({ table: "t2", states: { visits: places.place("v2") } }),
    ],
    ["of everything, by the app under another name", (places) => places.claimant({ app: "store" })],
    [
      "of the tables, by the app with its checkpoints elsewhere",
      (places) => places.claimant({ url: "s3://b2/shop", bucket: "b2" }),
    ],
    [
      "of a state table, by another function",
      (places) => places.claimant({ states: { sales: places.place("orders") } }),
    ],
    ["of the state tables, by a new control table", (places) => places.claimant({ table: "t2", bucket: "b2" })],
  ];

  test.each(cases)("%s, makes it the deployment's", async (_, heir) => {
    const { places, id } = await claimed();
    expect((await takeOver(heir(places), id, claiming())).length).toBeGreaterThan(0);
    await claimAll(heir(places), claiming());
    await checkClaims(heir(places));
    expect((await refusalOf(checkClaims(places.claimant()))).kind).toBe("fix-configuration");
  });

  test.each(cases)("%s, goes on where one broke off", async (_, heir) => {
    for (let broken = 1; ; broken += 1) {
      const { places, id } = await claimed();
      let calls = 0;
      places.before = () => {
        calls += 1;
        if (calls === broken) throw new Error("died");
      };
      const died = await takeOver(heir(places), id, claiming()).then(
        () => false,
        () => true,
      );
      places.before = () => {};
      await takeOver(heir(places), id, claiming());
      await claimAll(heir(places), claiming());
      await checkClaims(heir(places));
      if (!died) return;
    }
  });

  test("takes nothing by an id that no claim has, and says which they have", async () => {
    const { places, id } = await claimed();
    const { message } = await refusalOf(takeOver(places.claimant({ app: "store" }), "another", claiming()));
    expect(message).toContain(`{"takeOver":"${id}"}`);
    expect(writes(places)).toEqual([]);
  });

  test("takes the place of one life alone: a table of a third one stays refused", async () => {
    const { places, id } = await claimed();
    places.claims.set("t3", { app: "third", id: "third", url: "s3://third" });
    const heir = () => places.claimant({ app: "store", table: "t3" });
    expect((await refusalOf(takeOver(heir(), id, claiming()))).message).toMatch(/t3 is claimed by the app third/);
    expect(writes(places)).toEqual([]);
  });

  test("changes nothing where everything is its own", async () => {
    const { places } = await claimed();
    expect(await takeOver(places.claimant(), "whatever", claiming())).toEqual([]);
    expect(writes(places)).toEqual([]);
  });
});
