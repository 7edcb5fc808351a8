/** `npm run bench -- dynamodb|heap|json|memory|all [--json]`: what the documentation says of speed and memory, measured anew. */
import { Argument, program } from "commander";
import { benchDynamoDB } from "./dynamodb.ts";
import { benchHeap } from "./heap.ts";
import { benchJson } from "./json.ts";
import { describeMachine, machineLine } from "./machine.ts";
import { benchMemory } from "./memory.ts";
import { describeExpectation, isMet, note, printReport, type Report } from "./report.ts";

// Which Node runs is the user's choice; the AWS SDK's advice on it is no result of a benchmark.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = "true";

const BENCHMARKS: Readonly<Record<string, () => Promise<Report>>> = {
  dynamodb: benchDynamoDB,
  heap: benchHeap,
  json: benchJson,
  memory: benchMemory,
};

program
  .name("npm run bench --")
  .description("Measures side by side, in one run; exits with 1 when an expectation is missed.")
  .addArgument(new Argument("[benchmark]").choices([...Object.keys(BENCHMARKS), "all"]).default("all"))
  .option("--json", "print one JSON object on stdout and nothing else")
  .action(async (asked: string, { json }: { readonly json?: boolean }) => {
    const machine = describeMachine();
    note(`Machine: ${machineLine(machine)}`);
    const reports: Report[] = [];
    for (const [name, run] of Object.entries(BENCHMARKS)) {
      if (asked === name || asked === "all") reports.push(await run());
    }
    if (json === true) process.stdout.write(`${JSON.stringify({ machine, at: new Date().toISOString(), reports })}\n`);
    else for (const report of reports) printReport(report);
    const missed = reports.flatMap(({ expectations }) => expectations).filter((expectation) => !isMet(expectation));
    for (const expectation of missed) note(describeExpectation(expectation));
    if (missed.length > 0) process.exitCode = 1;
  });

await program.parseAsync();
