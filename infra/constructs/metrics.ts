/** The metrics of an app as CloudWatch knows them: by the very names that the functions write. */
import { Duration } from "aws-cdk-lib";
import { Metric, type MetricOptions, Stats } from "aws-cdk-lib/aws-cloudwatch";
import {
  APP_METRICS,
  FUNCTION_DIMENSION,
  FUNCTION_METRICS,
  METRIC_NAMESPACE,
  SERVICE_DIMENSION,
} from "../../shared/lambda/metric-names.ts";

export type AppMetric = keyof typeof APP_METRICS;
export type FunctionMetric = keyof typeof FUNCTION_METRICS;

/** How a metric is best looked at when the caller does not say. Counts are added up. */
const STATISTICS: Partial<Record<AppMetric | FunctionMetric, string>> = {
  checkpointAge: Stats.MAXIMUM,
  checkpointDuration: Stats.MAXIMUM,
  checkpointBytes: Stats.MAXIMUM,
  restoreRunning: Stats.MAXIMUM,
  mappingDrift: Stats.MAXIMUM,
  batchSize: Stats.AVERAGE,
  keys: Stats.AVERAGE,
  splitLag: Stats.MAXIMUM,
};

export function appMetric(service: string, metric: AppMetric, options: MetricOptions = {}): Metric {
  return metricOf(APP_METRICS[metric], { [SERVICE_DIMENSION]: service }, metric, options);
}

export function functionMetric(
  service: string,
  functionName: string,
  metric: FunctionMetric,
  options: MetricOptions = {},
): Metric {
  const dimensions = { [SERVICE_DIMENSION]: service, [FUNCTION_DIMENSION]: functionName };
  return metricOf(FUNCTION_METRICS[metric], dimensions, metric, options);
}

function metricOf(
  metricName: string,
  dimensionsMap: { readonly [dimension: string]: string },
  metric: AppMetric | FunctionMetric,
  options: MetricOptions,
): Metric {
  return new Metric({
    namespace: METRIC_NAMESPACE,
    metricName,
    dimensionsMap,
    statistic: STATISTICS[metric] ?? Stats.SUM,
    period: Duration.minutes(5),
    ...options,
  });
}
