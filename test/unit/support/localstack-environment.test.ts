import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { localStackEnvironment } from "../../support/localstack-utils/localstack.ts";
import { readmeBlock } from "../../support/localstack-utils/reader-shell.ts";

test("the README's exports for a LocalStack are what its lines are tested with", () => {
  const { stdout } = spawnSync("bash", ["-c", `${readmeBlock("On a LocalStack")} env -0`], {
    env: { PATH: process.env.PATH },
    encoding: "utf8",
  });
  const exported = stdout.split("\0").filter((variable) => variable.startsWith("AWS_"));
  const localStack = { url: "http://127.0.0.1:4566", inContainer: false, stop: async () => {} };
  const wanted = Object.entries(localStackEnvironment(localStack)).filter(([name]) => name.startsWith("AWS_"));
  expect(exported.sort()).toEqual(wanted.map(([name, value]) => `${name}=${value}`).sort());
});
