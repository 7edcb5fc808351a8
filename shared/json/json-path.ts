const IDENTIFIER = /^[A-Za-z_$][A-Za-z0-9_$]*$/;

/** Names a place within a value as JavaScript would: `state.visits[3].at`, `state["first name"]`. */
export function jsonPath(root: string, segments: readonly PropertyKey[]): string {
  let path = root;
  for (const segment of segments) {
    if (typeof segment === "string" && IDENTIFIER.test(segment)) path += `.${segment}`;
    else path += `[${typeof segment === "string" ? JSON.stringify(segment) : String(segment)}]`;
  }
  return path;
}
