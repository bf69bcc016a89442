import type { MetricRegistry } from "./MetricRegistry.ts"

const errorBounds = [0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10]

interface PodSums {
  observedS: number
  predictedS: number
  count: number
}

/**
 * Predicted against observed TTFT, so that a wrong hardware preset is seen: a pod whose sums differ by a factor has it.
 * Sums are kept for at most `podsMax` pods; a further one takes the place of the one known longest.
 */
export const makeTtftMetrics = (registry: MetricRegistry, podsMax: number) => {
  const error = registry.histogram(
    "warmroute_ttft_prediction_error_ratio",
    "Predicted less observed TTFT of streamed answers, without its sign, as a share of the observed.",
    errorBounds
  ).child()
  const sums = new Map<string, PodSums>()
  const counter = (name: string, help: string, of: (sums: PodSums) => number): void =>
    registry.collected(`warmroute_pod_ttft_${name}_total`, help, "counter", ["pod"], (emit) => {
      for (const [pod, podSums] of sums) emit([pod], of(podSums))
    })
  counter("observed_seconds", "From the pick to the first token, streamed answers added up.", (pod) => pod.observedS)
  counter("predicted_seconds", "What the pick predicted for the same answers.", (pod) => pod.predictedS)
  counter("observations", "Streamed answers in these sums.", (pod) => pod.count)
  return {
    /** One streamed answer's first token. */
    ttft: (pod: string, predictedS: number, observedS: number): void => {
      if (!Number.isFinite(predictedS) || !(observedS > 0)) return
      error.observe(Math.abs(predictedS - observedS) / observedS)
      let podSums = sums.get(pod)
      if (podSums === undefined) {
        const [longest] = sums.keys()
        if (sums.size >= podsMax && longest !== undefined) sums.delete(longest)
        podSums = { observedS: 0, predictedS: 0, count: 0 }
        sums.set(pod, podSums)
      }
      podSums.observedS += observedS
      podSums.predictedS += predictedS
      podSums.count++
    }
  }
}
