/**
 * Does `work` for each item, so many at a time, and takes the next item only when there is room for it.
 *
 * At the first failure no more items are taken, and it is thrown at once: whoever has to know how the others ended catches
 * in `work`. For what event functions bundle, whose size is a cold start's: `p-map`, which does more, is 2 KB.
 */
export async function forEach<Item>(
  items: Iterable<Item>,
  concurrency: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const iterator = items[Symbol.iterator]();
  let failed = false;
  const take = async (): Promise<void> => {
    try {
      for (let next = iterator.next(); !next.done; next = iterator.next()) {
        await work(next.value);
        if (failed) return;
      }
    } catch (thrown) {
      failed = true;
      throw thrown;
    }
  };
  await Promise.all(Array.from({ length: concurrency }, take));
}
