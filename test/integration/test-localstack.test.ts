/** `npm run test:localstack` where there is none: it says how to get one, and never passes silently. */
import { existsSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { tryCommand } from "../support/localstack-utils/run-command.ts";

const NO_DOCKER = { DOCKER_HOST: "tcp://127.0.0.1:9", XDG_RUNTIME_DIR: "/nowhere", HOME: "/nowhere" };

describe("npm run test:localstack", () => {
  it("exits 2 where no endpoint is given and no Docker runs, and says how to get one", async () => {
    // With Docker at its usual place it would start a container, which is what it is for.
    const given = existsSync("/var/run/docker.sock") ? "http://127.0.0.1:9" : "";
    const { code, stderr } = await tryCommand("npm run test:localstack", {
      env: { ...NO_DOCKER, AWS_ENDPOINT_URL: given },
    });
    expect(stderr).toContain("AWS_ENDPOINT_URL=http://127.0.0.1:");
    expect(stderr).toContain("Docker");
    expect(code).toBe(2);
  });

  it("exits 2 where nothing answers at the endpoint that is given", async () => {
    const { code, stderr } = await tryCommand("npm run test:localstack", {
      env: { AWS_ENDPOINT_URL: "http://127.0.0.1:9" },
    });
    expect(stderr).toContain("No LocalStack answers at AWS_ENDPOINT_URL=http://127.0.0.1:9");
    expect(code).toBe(2);
  });
});
