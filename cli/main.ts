#!/usr/bin/env node
/** `tidemark`: parses the command line and sets the exit code; each command is a file of its own. */
import { CommanderError } from "commander";
import { EXIT_USAGE, exitCodeOf, reportError } from "./command-line.ts";
import { createProgram } from "./program.ts";

// Which Node runs is the user's choice; the AWS SDK's advice on it is no result of a command.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = "true";

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  // The reader has seen enough (`| head`).
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

try {
  await createProgram().parseAsync();
} catch (thrown) {
  if (thrown instanceof CommanderError) {
    // Commander has printed it already; asked-for help and version end with 0.
    process.exitCode = thrown.exitCode === 0 ? 0 : EXIT_USAGE;
  } else {
    reportError(thrown, {});
    process.exitCode = exitCodeOf(thrown);
  }
}
