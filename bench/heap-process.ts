/** One contender of the heap benchmark in a process of its own, so that none inherits another's heap. */
import { CONTENDERS, type ContenderName } from "./heap-contenders.ts";
import { digestOf } from "./state-digest.ts";
import type { Elapsed } from "./stopwatch.ts";

export interface HeapFigures extends Elapsed {
  readonly keys: number;
  readonly checkpoints: number;
  /** Equal for equal states. */
  readonly digest: string;
}

const [name, file = "", home = ""] = process.argv.slice(2);
const { states, ...figures } = await CONTENDERS[name as ContenderName]({ file, home });
const answer: HeapFigures = { ...figures, keys: states.size, digest: digestOf(states) };
if (process.send === undefined) process.stdout.write(`${JSON.stringify(answer)}\n`);
else process.send(answer, () => process.disconnect());
