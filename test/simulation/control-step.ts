/** Which of the protocol's steps a conditional write is, told from what it writes. */
import type { ConditionalWrite } from "../../shared/control/conditional-write.ts";
import type { ItemKey } from "../../shared/control/control-store.ts";

export type ControlStep = (typeof CONTROL_STEPS)[number];

export const CONTROL_STEPS = [
  "make control",
  "trigger",
  "align",
  "plan snapshot",
  "record outcome",
  "announce deletions",
  "settle",
  "pin",
  "unpin",
  "record restore",
  "record loaded",
  "flip control",
  "finish restore",
  "ask for restore",
  "refuse restore",
  "hold restore",
  "go on",
  "owe first mapping",
  "owe mapping",
  "forget mappings",
  "record swept",
  "save sweep",
  "birth put",
  "birth",
  "begin",
  "begin with hole",
  "barrier",
  "ask for barrier",
  "move idle split",
  "give up tail",
  "note look",
  "resolve",
  "end",
  "enter record",
  "leave record",
  "ask to skip",
  "hold split",
  "raise until",
  "flip split",
  "give up replay",
  "run split",
  "save slice",
  "save fuzzy position",
  "note part loaded",
  "note part altered",
  "note part checked",
  "other",
] as const;

export function controlStepOf({ partition, sort }: ItemKey, write: ConditionalWrite): ControlStep {
  if (partition === "CONTROL") return stepOfControl(write);
  if (partition.startsWith("SPLIT#")) return stepOfSplit(write);
  if (partition.startsWith("SNAPSHOT#")) return names(write, 0) === "function" ? "save fuzzy position" : "save slice";
  if (partition === "SWEEP") return "save sweep";
  if (partition.startsWith("CHECK#")) return "note part checked";
  if (!partition.startsWith("LOAD#")) return "other";
  return sort === "#damaged" ? "note part altered" : "note part loaded";
}

const names = (write: ConditionalWrite, index: number): string | undefined => write.set?.[index]?.[0][0];

const STEPS_BY_REMOVAL: Readonly<Record<string, ControlStep>> = {
  pins: "unpin",
  sweep: "record swept",
  mappingsOff: "forget mappings",
};

const STEPS_OF_PLAN: Readonly<Record<string, ControlStep>> = {
  loadedAtMs: "record loaded",
  heldAtMs: "hold restore",
  wentOnAtMs: "go on",
};

function stepOfControl(write: ConditionalWrite): ControlStep {
  const first = write.set?.[0];
  if (first === undefined) return STEPS_BY_REMOVAL[write.remove?.[0]?.[0] ?? ""] ?? "other";
  const [name, member] = first[0];
  const second = names(write, 1);
  switch (name) {
    case "gen":
      return second === "maxGen" ? "make control" : "flip control";
    case "epoch":
      return "trigger";
    case "phase":
      return second === "maxGen" ? "record restore" : "finish restore";
    case "restore":
      return STEPS_OF_PLAN[member ?? ""] ?? "other";
    case "requested":
      return member === "refused" ? "refuse restore" : "ask for restore";
    case "mappingsOff":
      return member === undefined ? "owe first mapping" : "owe mapping";
    case "deleting":
      return "announce deletions";
    case "pins":
      return "pin";
    case "checkpoint":
      if (member === "settled") return "settle";
      if (member === "n") return "record outcome";
      return write.set?.length === 1 ? "align" : "plan snapshot";
    default:
      return "other";
  }
}

function stepOfSplit(write: ConditionalWrite): ControlStep {
  const first = write.set?.[0];
  if (first === undefined) {
    if (write.remove?.[0]?.[0] === "failing") return "leave record";
    return write.add?.[0]?.[0][0] === "attempt" ? "begin" : "other";
  }
  const condition = write.conditions[0];
  const on = condition !== undefined && "attribute" in condition ? condition.attribute[0] : undefined;
  const raises = write.add?.[0]?.[0][0] === "attempt";
  switch (first[0][0]) {
    case "attempt":
      return "birth put";
    case "gen":
      return "birth";
    case "attemptedTo":
      return "begin";
    case "epoch":
      return on === "attempt" ? "barrier" : "move idle split";
    case "pendingEpoch":
      return "ask for barrier";
    case "position":
      if (!raises) return "end";
      if (names(write, 1) === "attemptedTo" && on === "gen") return "give up replay";
      return on === "position" ? "give up tail" : "begin with hole";
    case "freshAt":
      return "note look";
    case "resolved":
      return "resolve";
    case "failing":
      return on === "attempt" ? "enter record" : "leave record";
    case "skip":
      return "ask to skip";
    case "until":
      return raises ? "flip split" : "raise until";
    case "phase": {
      const to = first[1];
      return "value" in to && to.value === "RUNNING" ? "run split" : "hold split";
    }
    default:
      return "other";
  }
}
