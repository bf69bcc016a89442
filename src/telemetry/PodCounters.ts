import type { MetricRegistry } from "./MetricRegistry.ts"

/**
 * A counter by pod and one further label of few values. Numbers are kept for at most `podsMax` pods, as pods come and go
 * for as long as the gateway lives; a further one takes the place of the one that was counted first.
 */
export class PodCounters {
  private readonly podsMax: number
  private readonly counts = new Map<string, Map<string, number>>()

  constructor(
    registry: MetricRegistry,
    metric: { readonly name: string; readonly help: string; readonly label: string },
    podsMax: number
  ) {
    this.podsMax = podsMax
    registry.collected(metric.name, metric.help, "counter", ["pod", metric.label], (emit) => {
      for (const [pod, byValue] of this.counts) for (const [value, count] of byValue) emit([pod, value], count)
    })
  }

  add(pod: string, value: string): void {
    let byValue = this.counts.get(pod)
    if (byValue === undefined) {
      const [first] = this.counts.keys()
      if (this.counts.size >= this.podsMax && first !== undefined) this.counts.delete(first)
      this.counts.set(pod, byValue = new Map())
    }
    byValue.set(value, (byValue.get(value) ?? 0) + 1)
  }
}
