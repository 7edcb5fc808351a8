#!/usr/bin/env node
/** `tidemark`: parses the command line and sets the exit code; each command is a file of its own. */
import { CommanderError } from "commander";
import { EXIT_FAILED, exitCodeOf, isJsonAsked, reportError, reportUsage } from "./command-line.ts";
import { createProgram } from "./program.ts";

// Which Node runs is the user's choice; the AWS SDK's advice on it is no result of a command.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = "true";

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  // The reader has seen enough (`| head`).
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

// Thrown where nobody waits: a defect, which is said in the same form as any error.
process.on("uncaughtException", (thrown) => {
  reportError(thrown, { json: isJsonAsked() });
  process.exit(EXIT_FAILED);
});

try {
  await createProgram().parseAsync();
} catch (thrown) {
  if (thrown instanceof CommanderError) {
    process.exitCode = reportUsage(thrown, isJsonAsked());
  } else {
    reportError(thrown, { json: isJsonAsked() });
    process.exitCode = exitCodeOf(thrown);
  }
}
