/**
 * Brings a stored image to the version of the state that the code knows.
 *
 * Each image is upgraded by its own version: a key's state and its before-image may be of two. Code older than an
 * image never touches it.
 */
import { TidemarkError } from "../errors.ts";
import { findJsonDefect } from "../json/check-json.ts";
import { freezeDeep } from "../json/freeze-deep.ts";
import type { JsonValue } from "../json/json-value.ts";
import type { PresentImage } from "../state/state-item.ts";
import type { FunctionDefinition } from "./define-function.ts";
import { explainMutation } from "./explain-mutation.ts";

/** The version of the state that the code writes. */
export function stateVersionOf<Event, State>(definition: FunctionDefinition<Event, State>): number {
  return definition.state.version ?? 1;
}

class NewerStateVersionError extends TidemarkError {
  constructor(functionName: string, version: { readonly stored: number; readonly known: number }) {
    super(
      "fix-configuration",
      `Function ${functionName} met state of version ${version.stored}, but its code knows versions up to ${version.known}: newer code has run here already. ` +
        "The batch writes nothing, counts no try and is delivered again. " +
        `Deploy code whose state.version is ${version.stored} or more, or restore a checkpoint taken before version ${version.stored}.`,
    );
  }
}

/** Whether the code is older than the state it met, which is no fault of any record: nothing may be written and no try counted. */
export function isNewerStateVersion(error: unknown): error is TidemarkError {
  return error instanceof NewerStateVersionError;
}

/**
 * The value of an image in the shape of the code's state version: itself where the versions are equal (which is all
 * this costs then), else passed through `upgrade[n]` for each version between.
 *
 * @throws TidemarkError `fix-configuration` when the image is newer than the code ({@link isNewerStateVersion}).
 * @throws TidemarkError `fix-function` when a step is missing, changes its argument in place, or returns what is not JSON.
 * @throws what a step throws, which is a throw of the user's function.
 */
export function upgradeImage<Event, State>(
  definition: FunctionDefinition<Event, State>,
  image: PresentImage,
): JsonValue {
  const known = stateVersionOf(definition);
  if (image.version === known) return image.value;
  if (image.version > known) {
    throw new NewerStateVersionError(definition.name, { stored: image.version, known });
  }
  let value: JsonValue = image.value;
  for (let version = image.version; version < known; version++) value = upgradeStep(definition, version, value);
  return value;
}

function upgradeStep<Event, State>(
  definition: FunctionDefinition<Event, State>,
  version: number,
  old: JsonValue,
): JsonValue {
  const step = definition.state.upgrade?.[version];
  if (step === undefined) {
    throw new TidemarkError(
      "fix-function",
      `Function ${definition.name} met state of version ${version}, its code has version ${stateVersionOf(definition)}, and state.upgrade[${version}] is missing. ` +
        `Add state.upgrade[${version}], which makes state of version ${version + 1} from state of version ${version}.`,
    );
  }
  let upgraded: unknown;
  try {
    // Frozen, since the before-image and a cache may hold the same object.
    upgraded = step(freezeDeep(old));
  } catch (thrown) {
    throw explainMutation(thrown, definition.name, `state.upgrade[${version}]`);
  }
  const defect = findJsonDefect(upgraded, "state");
  if (defect === undefined) return upgraded as JsonValue;
  throw new TidemarkError(
    "fix-function",
    `state.upgrade[${version}] of ${definition.name} returned what is not JSON: ${defect.path} ${defect.what}. ${defect.wayOut}`,
  );
}
