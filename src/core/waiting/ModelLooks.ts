export interface ModelLookOptions {
  /** The pods are asked for their models at most this often because of requests for models that none is known to serve. */
  readonly everyS: number
  /** So long a request waits for the answers. */
  readonly waitS: number
  /** Requests that wait for the answers of one look. */
  readonly waitersMax: number
}

/** Names of models come from clients, so what an unknown one costs is little, whoever writes it. */
export const modelLookDefaults: ModelLookOptions = { everyS: 2, waitS: 0.5, waitersMax: 256 }

/**
 * When a request for a model that no pod is known to serve has the pods asked: an adapter may have been loaded since
 * they were asked last.
 */
export class ModelLooks {
  private readonly options: ModelLookOptions
  private lookedS = Number.NEGATIVE_INFINITY
  private waiters = 0

  constructor(options: ModelLookOptions) {
    this.options = options
  }

  /** True: the pods should be asked now. */
  begin(nowS: number): boolean {
    if (nowS - this.lookedS < this.options.everyS) return false
    this.lookedS = nowS
    this.waiters = 0
    return true
  }

  /** Until when one more request may wait for the answers; undefined: it may not. */
  join(nowS: number): number | undefined {
    const { waitersMax, waitS } = this.options
    if (nowS >= this.lookedS + waitS || this.waiters >= waitersMax) return undefined
    this.waiters++
    return this.lookedS + waitS
  }
}
