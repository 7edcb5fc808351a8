/**
 * Apps of one CDK app that were given the same table, or places in one bucket of which one holds the other: refused at
 * synthesis where it shows. Where it does not (names that are known at deployment only, another CDK app) the claims of
 * `shared/app/claim.ts` find it at run time.
 */
import {
  DefaultTokenResolver,
  type IResolvable,
  type IResolveContext,
  Reference,
  type ResourceEnvironment,
  Stack,
  Stage,
  StringConcat,
  Token,
  Tokenization,
} from "aws-cdk-lib";
import type { Construct, IConstruct } from "constructs";
import { TidemarkError } from "../../shared/errors.ts";

/** A table or a bucket that an app uses. */
export interface UsedResource {
  /** For messages: `The control table`. */
  readonly what: string;
  /** What sets it: `existing.controlTable`. */
  readonly prop: string;
  readonly resource: IConstruct & { readonly env: ResourceEnvironment };
  readonly name: string;
  /** A bucket's: the place within, with the slash at its end. A bucket's name is one for all accounts. */
  readonly root?: string;
  /** A bucket's: the stack writes the whole of its policy. */
  readonly ownPolicy?: boolean;
}

interface UsingApp {
  readonly scope: Construct;
  readonly name: string;
  readonly uses: readonly UsedResource[];
}

const appsOf = new WeakMap<IConstruct, UsingApp[]>();

/** @throws TidemarkError `fix-configuration` when an app that was made before has the name or uses the same */
export function checkApart(app: UsingApp): void {
  const { root } = app.scope.node;
  const others = appsOf.get(root) ?? [];
  for (const other of others) {
    checkNames(app, other);
    for (const one of app.uses) for (const used of other.uses) checkUses(app, one, { other, used });
  }
  appsOf.set(root, [...others, app]);
}

function checkNames({ scope, name }: UsingApp, other: UsingApp): void {
  if (name !== other.name || Stack.of(scope) !== Stack.of(other.scope)) return;
  throw new TidemarkError(
    "fix-configuration",
    `${scope.node.path} deploys the app ${name}, which ${other.scope.node.path} deploys in the same stack. Put one of them into a stack of its own, or give its app another name.`,
  );
}

function checkUses(
  { scope }: UsingApp,
  one: UsedResource,
  { other, used }: { readonly other: UsingApp; readonly used: UsedResource },
): void {
  if (!isSame(scope, one, { scope: other.scope, used })) return;
  if (one.root === undefined) {
    throw new TidemarkError(
      "fix-configuration",
      `${one.what} of ${scope.node.path} is ${inSentence(used.what)} of ${other.scope.node.path}: one would take what the other keeps there for its own. Give each a table of its own (${one.prop}).`,
    );
  }
  const [mine, its] = [one.root, used.root ?? ""];
  if (!mine.startsWith(its) && !its.startsWith(mine)) {
    if (one.ownPolicy !== true && used.ownPolicy !== true) return;
    throw new TidemarkError(
      "fix-configuration",
      `${scope.node.path} and ${other.scope.node.path} keep their checkpoints in one bucket, which is given by its name and so is Tidemark's alone: the stack writes its policy, and a bucket has one. Give it to both as a construct: one that their stack makes, or an imported one with existing.bucketPolicyByHand.`,
    );
  }
  const relation = mine === its ? "are the same place" : "are places of which one is within the other";
  throw new TidemarkError(
    "fix-configuration",
    `${scope.node.path} keeps its checkpoints under ${mine}, and ${other.scope.node.path} under ${its}, in one bucket: they ${relation}. Give each a prefix of its own that is not within the other's (checkpoints.prefix), or a bucket of its own.`,
  );
}

const inSentence = (what: string): string => what.charAt(0).toLowerCase() + what.slice(1);

function isSame(
  scope: Construct,
  one: UsedResource,
  { scope: otherScope, used }: { readonly scope: Construct; readonly used: UsedResource },
): boolean {
  const isBucket = one.root !== undefined;
  if (isBucket !== (used.root !== undefined)) return false;
  const [mine, its] = [namesOf(scope, one), namesOf(otherScope, used)];
  if (mine.made.some((path) => its.made.includes(path))) return true;
  if (!mine.known.some((name) => its.known.includes(name))) return false;
  return isBucket || isOnePlace([scope, one.resource.env], [otherScope, used.resource.env]);
}

/** Whether a name means the same table for both, as far as that is known. */
function isOnePlace(
  [scope, env]: readonly [Construct, ResourceEnvironment],
  [otherScope, other]: readonly [Construct, ResourceEnvironment],
): boolean {
  return (["account", "region"] as const).every((part) => {
    const [mine, its] = [env[part], other[part]];
    const unknown = [mine, its].filter((value) => Token.isUnresolved(value)).length;
    if (unknown === 0) return mine === its;
    // Stacks of one stage that say no environment go where `cdk deploy` goes; two stages may go to two places.
    return unknown === 2 && Stage.of(scope) === Stage.of(otherScope);
  });
}

/** What a resource is called: by the name that is written down, and by the constructs that it is made as. */
function namesOf(
  scope: Construct,
  { resource, name }: UsedResource,
): { readonly known: readonly string[]; readonly made: readonly string[] } {
  const made = new Set<IConstruct>();
  if (resource.node.defaultChild !== undefined) made.add(resource.node.defaultChild);
  class Collecting extends DefaultTokenResolver {
    override resolveToken(token: IResolvable, context: IResolveContext, processor: never): unknown {
      if (Reference.isReference(token)) made.add(token.target);
      return super.resolveToken(token, context, processor);
    }
  }
  const known = Token.isUnresolved(name) ? [] : [name];
  if (Token.isUnresolved(name)) {
    Tokenization.resolve(name, { scope, resolver: new Collecting(new StringConcat()), preparing: true });
  }
  for (const construct of made) {
    const { tableName, bucketName } = construct as { readonly tableName?: unknown; readonly bucketName?: unknown };
    for (const given of [tableName, bucketName]) {
      if (typeof given === "string" && !Token.isUnresolved(given)) known.push(given);
    }
  }
  return { known, made: [...made].map(({ node }) => node.path) };
}
