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
import { explainMutation } from "./explain-mutation.ts";
import type { FunctionDefinition } from "./function-definition.ts";
import { refusalBySchema } from "./state-schema.ts";

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

class RefusedStateError extends TidemarkError {
  constructor(functionName: string, image: { readonly stored: number; readonly known: number }, refusal: string) {
    super(
      "fix-configuration",
      `Function ${functionName} met a state that its state.schema refuses: ${refusal}. ` +
        (image.stored === image.known
          ? `It is stored as of version ${image.stored}, which is the code's as well: was the state's shape changed, and state.version not raised? `
          : `It was made by state.upgrade of one of version ${image.stored}. `) +
        "The batch writes nothing, counts no try and is delivered again. " +
        (image.stored === image.known
          ? `Deploy code with state.version ${image.known + 1} and a state.upgrade[${image.known}], or with the schema that this state was written by.`
          : "Deploy code whose state.upgrade makes what its state.schema takes."),
    );
  }
}

/**
 * Whether the state that was met is none of this code's: newer than it, or refused by its schema. That is no fault of any
 * record: nothing may be written and no try counted.
 */
export function isForeignState(error: unknown): error is TidemarkError {
  return error instanceof NewerStateVersionError || error instanceof RefusedStateError;
}

/**
 * The value of an image in the shape of the code's state version: itself where the versions are equal, else passed
 * through `upgrade[n]` for each version between; checked by `state.schema`, where there is one.
 *
 * @throws TidemarkError `fix-configuration` when the image is newer than the code, or the schema refuses it
 * ({@link isForeignState}).
 * @throws TidemarkError `fix-function` when a step is missing, changes its argument in place, or returns what is not JSON.
 * @throws what a step throws, which is a throw of the user's function.
 */
export function upgradeImage<Event, State>(
  definition: FunctionDefinition<Event, State>,
  image: PresentImage,
): JsonValue {
  const known = stateVersionOf(definition);
  if (image.version > known) {
    throw new NewerStateVersionError(definition.name, { stored: image.version, known });
  }
  let value: JsonValue = image.value;
  for (let version = image.version; version < known; version++) value = upgradeStep(definition, version, value);
  const refusal = refusalBySchema(definition, value);
  if (refusal === undefined) return value;
  throw new RefusedStateError(definition.name, { stored: image.version, known }, refusal);
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
