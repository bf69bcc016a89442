import type { ProxyExchange } from "./ProxyExchange.ts"

/**
 * The requests in hand, by place. An array with free places, not a Set: a Set that thousands of requests a second enter
 * and leave cost a sixth of a small request's time and half of the gateway's memory (bench proxy), as the collector
 * kept what had left.
 */
export class OpenExchanges {
  private readonly places: Array<ProxyExchange | undefined> = []
  private readonly free: Array<number> = []

  get count(): number {
    return this.places.length - this.free.length
  }

  /** The place to give to `leave`. */
  enter(exchange: ProxyExchange): number {
    const place = this.free.pop() ?? this.places.length
    this.places[place] = exchange
    return place
  }

  /** Once for each place that was entered. */
  leave(place: number): void {
    this.places[place] = undefined
    this.free.push(place)
  }

  /** Those of now; `visit` may have them leave. */
  forEach(visit: (exchange: ProxyExchange) => void): void {
    for (let place = 0; place < this.places.length; place++) {
      const exchange = this.places[place]
      if (exchange !== undefined) visit(exchange)
    }
  }
}
