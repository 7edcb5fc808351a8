import { expect, test } from "vitest";
import { Slots } from "../../../shared/source/slots.ts";

test("slots are handed on in order, and given back once", async () => {
  const slots = new Slots(2);
  const first = await slots.take(undefined);
  await slots.take(undefined);
  const order: number[] = [];
  const third = slots.take(undefined).then((giveBack) => {
    order.push(3);
    return giveBack;
  });
  const fourth = slots.take(undefined).then(() => order.push(4));
  first();
  first();
  (await third)();
  await fourth;
  expect(order).toEqual([3, 4]);
});

test("who waits for a slot leaves with its signal, and the others get theirs", async () => {
  const slots = new Slots(1);
  const giveBack = await slots.take(undefined);
  const abort = new AbortController();
  const leaving = [slots.take(abort.signal), slots.take(abort.signal)];
  const staying = slots.take(undefined);
  abort.abort();
  for (const left of await Promise.all(leaving)) left();
  giveBack();
  (await staying)();
  await slots.take(abort.signal);
  await slots.take(undefined);
});
