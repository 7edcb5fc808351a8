/**
 * IAM's policies as far as Tidemark's templates use them: whether statements allow a request, and which of what they grant
 * no request used. What is known at deployment only is spelt as `spelt` does.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
 */
import { spelt } from "../unit/infra/deployed-app.ts";

export interface Condition {
  /** `ForAllValues:StringLike`, `StringLikeIfExists`, … */
  readonly operator: string;
  readonly key: string;
  readonly values: readonly string[];
}

export interface Statement {
  readonly effect: "Allow" | "Deny";
  readonly actions: readonly string[];
  readonly resources: readonly string[];
  readonly conditions: readonly Condition[];
}

export interface IamRequest {
  readonly action: string;
  readonly resource: string;
  /** What a request says by the names of condition keys; a key that is missing is one that the request does not say. */
  readonly context: { readonly [key: string]: readonly string[] };
}

interface Written {
  readonly Effect: "Allow" | "Deny";
  readonly Action: string | readonly string[];
  readonly Resource: unknown;
  readonly Condition?: { readonly [operator: string]: { readonly [key: string]: unknown } };
}

/** The statements of a policy's document in a template. */
export function statementsOf(document: { readonly Statement: readonly Written[] }): Statement[] {
  return document.Statement.map(({ Effect, Action, Resource, Condition = {} }) => ({
    effect: Effect,
    actions: [Action].flat(),
    resources: listed(Resource).map(spelt),
    conditions: Object.entries(Condition).flatMap(([operator, keys]) =>
      Object.entries(keys).map(([key, values]) => ({ operator, key, values: listed(values).map(asText) })),
    ),
  }));
}

const listed = (value: unknown): unknown[] => (Array.isArray(value) ? value : [value]);
const asText = (value: unknown): string => (typeof value === "number" ? String(value) : spelt(value));

/** A wildcard is `*` for any text, or `?` for a character. */
export function matches(pattern: string, text: string): boolean {
  const literal = pattern.replaceAll(/[.+^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`^${literal.replaceAll("*", ".*").replaceAll("?", ".")}$`, "s").test(text);
}

const COMPARES: { readonly [operator: string]: (wanted: string, given: string) => boolean } = {
  ArnEquals: matches,
  ArnLike: matches,
  Bool: (wanted, given) => wanted === given,
  NumericLessThan: (wanted, given) => Number(given) < Number(wanted),
  StringEquals: (wanted, given) => wanted === given,
  StringLike: matches,
};

function holds({ operator, key, values }: Condition, context: IamRequest["context"]): boolean {
  const given = context[key];
  const isMissing = given === undefined || given.length === 0;
  if (operator === "Null") return values.includes(String(isMissing));
  const [set, named = operator] = operator.includes(":") ? operator.split(":") : ["", operator];
  const plain = named.replace(/IfExists$/, "");
  const negated = plain.includes("Not");
  const compares = COMPARES[plain.replace("Not", "")];
  if (compares === undefined) throw new Error(`No test knows what ${operator} means.`);
  if (isMissing) return set === "ForAllValues" || named.endsWith("IfExists") || negated;
  const one = (text: string): boolean => values.some((wanted) => compares(wanted, text)) !== negated;
  return set === "ForAnyValue" ? given.some(one) : given.every(one);
}

function meets({ actions, resources, conditions }: Statement, { action, resource, context }: IamRequest): boolean {
  return (
    actions.some((pattern) => matches(pattern, action)) &&
    resources.some((pattern) => matches(pattern, resource)) &&
    conditions.every((condition) => holds(condition, context))
  );
}

/** Whether an identity's statements, and those of the resource's own policy, let it make a request. */
export function allows(statements: readonly Statement[], request: IamRequest): boolean {
  const met = statements.filter((statement) => meets(statement, request));
  return met.some(({ effect }) => effect === "Allow") && !met.some(({ effect }) => effect === "Deny");
}

/**
 * What statements allow and no request needed, a line each: an action on a resource, or a value of a condition. An action
 * with a wildcard is always one of them, since it allows what nobody can list.
 */
export function unusedGrants(statements: readonly Statement[], requests: readonly IamRequest[]): string[] {
  const unused = statements
    .filter(({ effect }) => effect === "Allow")
    .flatMap((statement) =>
      statement.actions.flatMap((action) =>
        statement.resources.flatMap((resource) => {
          const grant = `${action} ${resource}`;
          if (/[*?]/.test(action)) return [grant];
          const used = requests.filter((request) =>
            meets({ ...statement, actions: [action], resources: [resource] }, request),
          );
          if (used.length === 0) return [grant];
          return statement.conditions.flatMap(({ operator, key, values }) =>
            operator === "Null" || operator === "Bool"
              ? []
              : values
                  .filter((value) => !used.some(({ context }) => context[key]?.some((given) => matches(value, given))))
                  .map((value) => `${grant} if ${key} is ${value}`),
          );
        }),
      ),
    );
  return [...new Set(unused)].sort();
}
