/**
 * Writes of a restore that is asked for before its checkpoint is checked, held at a point, or told to go on; and of the
 * event source mappings that it disables. Each is one conditional update of control.
 *
 * Invariants:
 * - A request is put together with the pin of its checkpoint, in the place of what was read: of two at once one stands.
 * - Only the restore whose token stands is refused, held or goes on.
 * - ◆ What a restore owes to enable again is noted before it is disabled, and forgotten only while control runs in the
 *   generation that was read: no restore has begun since, which would count on the note.
 */
import type { JsonValue } from "../json/json-value.ts";
import { type Condition, compare, missing, path, value } from "./conditional-write.ts";
import { asControl, type Control, type RequestedRestore } from "./control.ts";
import type { ControlStore } from "./control-store.ts";
import { CONTROL_KEY } from "./item-keys.ts";

const json = (data: object): JsonValue => data as JsonValue;

const tokenIs = (attribute: "requested" | "restore", token: string): Condition => ({
  attribute: path(attribute, "token"),
  is: "=",
  to: value(token),
});

/**
 * Puts a request in the place of the one that was read, and pins its checkpoint. Refused when another was put, or a
 * restore recorded, meanwhile, or when retention has decided to delete the checkpoint.
 */
export async function putRequest(
  store: ControlStore,
  step: { readonly read: Control; readonly request: RequestedRestore },
): Promise<Control | undefined> {
  const { read, request } = step;
  const before = read.requested;
  const answer = await store.update(CONTROL_KEY, {
    conditions: [
      compare("maxGen", "=", read.maxGen),
      before === undefined ? missing("requested") : tokenIs("requested", before.token),
      { missing: path("deleting", request.checkpoint) },
    ],
    set: [
      [path("requested"), value(json(request))],
      [path("pins", request.token), value(request.checkpoint)],
    ],
    add: [[path("pinned"), 1]],
    ...(before === undefined || before.token === request.token ? {} : { remove: [path("pins", before.token)] }),
  });
  return answer.applied ? asControl(answer.after) : undefined;
}

/** Notes why the restore that was asked for cannot be done, and lets its checkpoint go. */
export async function refuseRequest(
  store: ControlStore,
  token: string,
  refused: NonNullable<RequestedRestore["refused"]>,
): Promise<void> {
  await store.update(CONTROL_KEY, {
    conditions: [tokenIs("requested", token), { missing: path("requested", "refused") }],
    set: [[path("requested", "refused"), value(json(refused))]],
    remove: [path("pins", token)],
  });
}

/** Every split has come to where the restore is to be held. */
export async function recordHeld(store: ControlStore, token: string, atMs: number): Promise<boolean> {
  const answer = await store.update(CONTROL_KEY, {
    conditions: [
      tokenIs("restore", token),
      compare("phase", "=", "REPLAYING"),
      { missing: path("restore", "wentOnAtMs") },
    ],
    set: [[path("restore", "heldAtMs"), value(atMs)]],
  });
  return answer.applied;
}

/** The restore is held no longer, whether it has come to its hold or not. A repeat changes nothing. */
export async function recordGoOn(store: ControlStore, token: string, atMs: number): Promise<boolean> {
  const answer = await store.update(CONTROL_KEY, {
    conditions: [
      tokenIs("restore", token),
      compare("phase", "=", "REPLAYING"),
      { missing: path("restore", "wentOnAtMs") },
    ],
    set: [[path("restore", "wentOnAtMs"), value(atMs)]],
  });
  return answer.applied;
}

/** Before a mapping is disabled for a restore: it is owed to be enabled again. @returns false: the restore is not under way */
export async function oweMapping(store: ControlStore, token: string, functionName: string): Promise<boolean> {
  const conditions = [tokenIs("restore", token), compare("phase", "=", "REPLAYING")];
  // A member can be set only in a map that is there.
  await store.update(CONTROL_KEY, {
    conditions: [...conditions, missing("mappingsOff")],
    set: [[path("mappingsOff"), value({})]],
  });
  const answer = await store.update(CONTROL_KEY, {
    conditions,
    set: [[path("mappingsOff", functionName), value(true)]],
  });
  return answer.applied;
}

/** Nothing is owed any more: every mapping is on, and none of the restore's own requests can still arrive. */
export async function forgetMappings(store: ControlStore, read: Control): Promise<boolean> {
  const answer = await store.update(CONTROL_KEY, {
    conditions: [compare("phase", "=", "RUNNING"), compare("maxGen", "=", read.maxGen)],
    remove: [path("mappingsOff")],
  });
  return answer.applied;
}
