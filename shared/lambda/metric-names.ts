/**
 * The names of the metrics that deployed functions emit, in the embedded metric format of CloudWatch. Data alone, so that
 * alarms and dashboards are made from the very names that the functions use.
 */

export const METRIC_NAMESPACE = "Tidemark";

/** Every metric has it: the deployment's name, else the app's. */
export const SERVICE_DIMENSION = "service";

/** The metrics of {@link FUNCTION_METRICS} have it besides: the function's name. */
export const FUNCTION_DIMENSION = "function";

/** Of the app, by the coordinator; dimension {@link SERVICE_DIMENSION}. */
export const APP_METRICS = {
  /** 1 for each checkpoint that completed. */
  checkpointCompleted: "CheckpointCompleted",
  /** 1 for each checkpoint that was aborted, but for those that a restore interrupted. */
  checkpointFailed: "CheckpointFailed",
  /** Seconds since the latest completed checkpoint of the live lineage, or since the app began; twice at every run of the coordinator, when an interval is set. */
  checkpointAge: "CheckpointAge",
  /** Ms from the trigger of a completed checkpoint to its outcome. */
  checkpointDuration: "CheckpointDuration",
  /** Bytes of a completed checkpoint's parts, as stored. */
  checkpointBytes: "CheckpointBytes",
  /** 1 while a restore is asked for, runs or is held, else 0; twice at every run of the coordinator. */
  restoreRunning: "RestoreRunning",
  /** Event source mappings that differ from what was deployed; twice at every run of the coordinator. */
  mappingDrift: "MappingDrift",
} as const;

/** Of one function; dimensions {@link SERVICE_DIMENSION} and {@link FUNCTION_DIMENSION}. */
export const FUNCTION_METRICS = {
  /** 1 for each record that became a dead letter. */
  deadLetters: "DeadLetters",
  /** 1 for each of them that the schema refused, or that could not be read. */
  recordsRefused: "RecordsRefused",
  /** 1 for each hole that was found: records that the source dropped. Dead letters are counted apart. */
  holes: "Holes",
  /** 1 for each batch that met a stopped split: too many failures in a row, or a new version whose schema takes nothing. */
  splitsStopped: "SplitsStopped",
  /** Records folded by a batch. */
  recordsFolded: "RecordsFolded",
  /** Records delivered to a batch. */
  batchSize: "BatchSize",
  /** Distinct keys of a batch. */
  keys: "Keys",
  /** Keys of a batch that were not read, being in the worker's cache. */
  cacheHits: "CacheHits",
  /** DynamoDB's write units of an invocation. */
  writeUnits: "WriteUnits",
  /** Records folded by a batch of a replay. */
  replayedRecords: "ReplayedRecords",
  /** Ms that the first record after a split's position has waited; from the coordinator's look at every checkpoint. */
  splitLag: "SplitLag",
} as const;
