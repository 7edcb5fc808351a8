/** Which process: a pid alone is given to another one after a while, and in a container very soon. */
import { readFileSync } from "node:fs";

export interface ProcessIdentity {
  readonly pid: number;
  /** When the kernel started the process, in its own ticks; absent where the system does not say (no /proc). */
  readonly startedAt?: string;
}

/** This process. */
export function ownIdentity(): ProcessIdentity {
  return identityOf(process.pid);
}

/** The process that has this pid now. */
export function identityOf(pid: number): ProcessIdentity {
  const startedAt = startTicks(pid);
  return startedAt === undefined ? { pid } : { pid, startedAt };
}

/** Whether that very process still runs. One that cannot be told from another of the same pid counts as running. */
export function isRunning(identity: ProcessIdentity): boolean {
  try {
    process.kill(identity.pid, 0);
  } catch (thrown) {
    // EPERM: it runs, as another user.
    if (!(thrown instanceof Error && "code" in thrown && thrown.code === "EPERM")) return false;
  }
  const stat = statOf(identity.pid);
  if (stat === undefined) return true;
  // A zombie has ended; only its parent has not asked for its exit code yet.
  if (stat.state === "Z") return false;
  return identity.startedAt === undefined || stat.startedAt === identity.startedAt;
}

function startTicks(pid: number): string | undefined {
  return statOf(pid)?.startedAt;
}

/** Fields 3 and 22 of `/proc/<pid>/stat`; the name in field 2 may hold spaces and brackets, so they count from its end. */
function statOf(pid: number): { readonly state: string; readonly startedAt: string } | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return undefined;
  }
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [state, startedAt] = [fields[0], fields[19]];
  return state === undefined || startedAt === undefined ? undefined : { state, startedAt };
}
