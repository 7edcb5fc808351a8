/** An app that imports a package as they were before there were modules. */
import { z } from "zod";
import { defineApp, defineFunction } from "../../../../shared/index.ts";
import old from "./old-package.cjs";

const visits = defineFunction({
  name: "visits",
  event: z.object({ user: z.string() }),
  key: ({ user }) => user,
  state: { initial: () => 0 },
  handle: (count) => count + old.one(),
});

export default defineApp({ name: "commonjs", functions: [{ function: visits, source: "clicks" }] });
