/** Logs and metrics of a deployed function, by Powertools: JSON lines, and the embedded metric format within them. */
import { Logger } from "@aws-lambda-powertools/logger";
import { Metrics, MetricUnit } from "@aws-lambda-powertools/metrics";
import type { MetricUnit as Unit } from "@aws-lambda-powertools/metrics/types";
import { INTERRUPTED_BY_RESTORE } from "../checkpoint/outcome.ts";
import { describeThrown, TidemarkError } from "../errors.ts";
import { cutText } from "../json/cut-text.ts";
import type { JsonValue } from "../json/json-value.ts";
import type { Observer, TidemarkEvent } from "../observer.ts";
import { APP_METRICS, FUNCTION_DIMENSION, FUNCTION_METRICS, METRIC_NAMESPACE } from "./metric-names.ts";

type Level = "debug" | "info" | "warn" | "error";

/** What ends in `-failed` is a warning, everything else information. A batch, a barrier and a lag are what metrics are for: `POWERTOOLS_LOG_LEVEL=DEBUG` shows them. */
const LEVELS: Partial<Record<TidemarkEvent["type"], Level>> = {
  batch: "debug",
  barrier: "debug",
  lag: "debug",
  "mapping-drifted": "warn",
  "coordinator-not-woken": "warn",
  "restore-refused": "error",
  "checkpoint-aborted": "error",
  "dead-letter": "error",
  hole: "error",
  "split-stopped": "error",
};

type AppMetric = keyof typeof APP_METRICS;
type FunctionMetric = keyof typeof FUNCTION_METRICS;

const UNITS: Partial<Record<AppMetric | FunctionMetric, Unit>> = {
  checkpointAge: MetricUnit.Seconds,
  checkpointDuration: MetricUnit.Milliseconds,
  checkpointBytes: MetricUnit.Bytes,
  splitLag: MetricUnit.Milliseconds,
};

/** A line says at each try, and CloudWatch bills by the byte, what the dead letter says once and with more of it. */
const LOGGED_TEXT_BYTES_MAX = 2_048;

const shortened = (attributes: object): { [name: string]: JsonValue } =>
  Object.fromEntries(
    Object.entries(attributes).map(([name, value]: [string, JsonValue]) => [
      name,
      typeof value === "string" ? cutText(value, LOGGED_TEXT_BYTES_MAX) : value,
    ]),
  );

/** What watches one deployed function. */
export class LambdaWatch {
  readonly #service: string;
  readonly #logger: Logger;
  readonly #ofApp: Metrics;
  readonly #ofFunctions = new Map<string, Metrics>();

  constructor(serviceName: string) {
    this.#service = serviceName;
    this.#logger = new Logger({ serviceName });
    this.#ofApp = new Metrics({ namespace: METRIC_NAMESPACE, serviceName });
  }

  readonly observe: Observer = (event) => {
    const { type, ...attributes } = event;
    this.#logger[LEVELS[type] ?? (type.endsWith("-failed") ? "warn" : "info")](type, shortened(attributes));
    this.#measure(event);
  };

  /** What a handler throws, as Lambda's own line about it has no attributes. */
  failed(thrown: unknown): void {
    const kind = thrown instanceof TidemarkError ? { kind: thrown.kind } : {};
    this.#logger.error(describeThrown(thrown, LOGGED_TEXT_BYTES_MAX), kind);
  }

  ofApp(metric: AppMetric, value: number): void {
    this.#ofApp.addMetric(APP_METRICS[metric], UNITS[metric] ?? MetricUnit.Count, value);
  }

  ofFunction(functionName: string, metric: FunctionMetric, value: number): void {
    let metrics = this.#ofFunctions.get(functionName);
    if (metrics === undefined) {
      metrics = new Metrics({
        namespace: METRIC_NAMESPACE,
        serviceName: this.#service,
        defaultDimensions: { [FUNCTION_DIMENSION]: functionName },
      });
      this.#ofFunctions.set(functionName, metrics);
    }
    metrics.addMetric(FUNCTION_METRICS[metric], UNITS[metric] ?? MetricUnit.Count, value);
  }

  /** Writes what was measured; to be called at the end of every invocation. */
  publish(): void {
    for (const metrics of [this.#ofApp, ...this.#ofFunctions.values()]) {
      if (metrics.hasStoredMetrics()) metrics.publishStoredMetrics();
    }
  }

  #measure(event: TidemarkEvent): void {
    switch (event.type) {
      case "batch":
        this.ofFunction(event.function, "batchSize", event.records);
        this.ofFunction(event.function, event.replay ? "replayedRecords" : "recordsFolded", event.folded);
        this.ofFunction(event.function, "keys", event.keys);
        this.ofFunction(event.function, "cacheHits", event.cacheHits);
        break;
      case "dead-letter":
        this.ofFunction(event.function, "deadLetters", 1);
        if (event.cause === "refused") this.ofFunction(event.function, "recordsRefused", 1);
        break;
      case "hole":
        this.ofFunction(event.function, "holes", 1);
        break;
      case "split-stopped":
        this.ofFunction(event.function, "splitsStopped", 1);
        break;
      case "lag":
        this.ofFunction(event.function, "splitLag", event.milliseconds);
        break;
      case "checkpoint-completed":
        this.ofApp("checkpointCompleted", 1);
        this.ofApp("checkpointDuration", event.milliseconds);
        this.ofApp("checkpointBytes", event.bytes);
        break;
      case "checkpoint-aborted":
        if (event.reason !== INTERRUPTED_BY_RESTORE) this.ofApp("checkpointFailed", 1);
        break;
      default:
    }
  }
}
