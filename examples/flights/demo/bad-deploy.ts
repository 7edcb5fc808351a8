/** A bad version is deployed, items are deleted behind its back, and checkpoints of bad state go on being taken. */
import { endpointWith } from "../../../local/dynamodb/endpoint-url.ts";
import { localSurroundings } from "../../../local/surroundings.ts";
import { generationText, itemKey } from "../../../shared/state/dynamodb/state-table.ts";
import { HASH_CHAIN, ON_TIME, type Stage } from "./stage.ts";

export interface BadDeploy {
  /** The newest checkpoint that was complete before the bad version had its first batch. */
  readonly lastGood: number;
  /** The newest checkpoint of bad state. */
  readonly lastBad: number;
  /** Flights that the bad version folded. */
  readonly flights: number;
  readonly deletedItems: number;
}

const BAD_PART = 0.15;
const BAD_FLIGHTS_MAX = 5_000;
const DELETED_AIRPORTS = 5;
/** The app keeps ten checkpoints: the good one must still be there afterwards. */
const BAD_CHECKPOINTS_MAX = 5;

export async function deployBadVersion(stage: Stage, buggyApp: string): Promise<BadDeploy> {
  const { engine, watch, narrator, feed } = stage;
  const lastGood = await redeployNoting(stage, buggyApp);
  narrator.say(`The bad version runs. Its first batch came after checkpoint ${lastGood} had completed.`);
  await watch.look(engine);
  const from = watch.flightsOf(ON_TIME);
  const wanted = Math.min(BAD_FLIGHTS_MAX, Math.floor(feed.flights * BAD_PART));
  const completedBefore = watch.completed;
  const enough = (flights: number): boolean =>
    watch.flightsOf(ON_TIME) - from >= flights || watch.completed - completedBefore >= BAD_CHECKPOINTS_MAX;

  await watch.until("the bad version", () => enough(wanted / 2));
  const deletedItems = await deleteItems(stage);
  const triggered = watch.newestTriggered;
  await watch.until("a checkpoint of bad state", () => enough(wanted) && watch.newestCompleted > triggered);
  await watch.look(engine);
  const flights = watch.flightsOf(ON_TIME) - from;
  narrator.say(`The bad version has folded ${flights} flights; checkpoint ${watch.newestCompleted} holds bad state.`);
  return { lastGood, lastBad: watch.newestCompleted, flights, deletedItems };
}

/** No batch of a new version begins before its worker has taken an old one's place. */
async function redeployNoting({ engine, watch }: Stage, appModule: string): Promise<number> {
  let lastGood: number | undefined;
  const deaf = watch.listen((event) => {
    if (event.type === "worker-ended" && event.expected) lastGood ??= watch.newestCompleted;
  });
  try {
    await engine.redeploy(appModule);
  } finally {
    deaf();
  }
  return lastGood ?? watch.newestCompleted;
}

/** Straight from the tables, as by an operator's mistake. @returns how many items there were */
async function deleteItems({ engine, narrator, watch }: Stage): Promise<number> {
  if (engine.dynamodb === undefined) {
    narrator.say("State is on the heap, in nobody else's reach: no items are deleted behind its back.");
    return 0;
  }
  const { endpoint = "", credentials, tables } = engine.dynamodb;
  const inChains = new Set((await engine.statePage(HASH_CHAIN)).states.map(({ key }) => key));
  const { states } = await engine.statePage(ON_TIME);
  // One function may be ahead of the other.
  const inBoth = states.map(({ key }) => key).filter((key) => inChains.has(key));
  const airports = inBoth.slice(0, DELETED_AIRPORTS);
  const generation = generationText(watch.progress?.generation ?? 1);
  const surroundings = localSurroundings(
    credentials === undefined ? "aws" : endpointWith(credentials, endpoint),
    () => {},
  );
  let deleted = 0;
  try {
    const { DeleteItemCommand } = await import("@aws-sdk/client-dynamodb");
    const client = await surroundings.dynamodb();
    for (const name of [ON_TIME, HASH_CHAIN]) {
      for (const airport of airports) {
        const answer = await client.send(
          new DeleteItemCommand({
            TableName: tables.state[name],
            Key: itemKey(airport, generation),
            ReturnValues: "ALL_OLD",
          }),
        );
        if (answer.Attributes !== undefined) deleted += 1;
      }
    }
  } finally {
    surroundings.close();
  }
  narrator.say(`${deleted} state items deleted behind its back: ${airports.join(", ")}.`);
  return deleted;
}
