export interface ProbeGateOptions {
  /** Probes under way at once to pods that answered last time. */
  readonly probesMax: number
  /** The same for pods whose last probe got no answer; kept apart so that hanging pods never hold up the others. */
  readonly suspectProbesMax: number
  /** Probes that wait for their turn, in each of the two queues. */
  readonly waitingMax: number
  /** Silent pods remembered. */
  readonly suspectsMax: number
}

interface Lane {
  free: number
  readonly waiting: Array<() => void>
}

/**
 * Lets a bounded number of probes through, since Bun runs at most 256 fetches at once in a process
 * (BUN_CONFIG_MAX_HTTP_REQUESTS is read before any code of ours runs) and a fetch beyond that waits unseen.
 */
export class ProbeGate {
  private readonly options: ProbeGateOptions
  private readonly prompt: Lane
  private readonly suspect: Lane
  private readonly suspects = new Set<string>()

  constructor(options: ProbeGateOptions) {
    this.options = options
    this.prompt = { free: options.probesMax, waiting: [] }
    this.suspect = { free: options.suspectProbesMax, waiting: [] }
  }

  /** Resolves with the function that gives the turn back, or with undefined when too many wait already. */
  async enter(podId: string): Promise<((answered: boolean) => void) | undefined> {
    const lane = this.suspects.has(podId) ? this.suspect : this.prompt
    if (lane.free > 0) lane.free--
    else if (lane.waiting.length >= this.options.waitingMax) return undefined
    else await new Promise<void>((resolve) => lane.waiting.push(resolve))
    return (answered) => {
      this.remember(podId, answered)
      const next = lane.waiting.shift()
      if (next === undefined) lane.free++
      else next()
    }
  }

  private remember(podId: string, answered: boolean): void {
    if (answered) {
      this.suspects.delete(podId)
      return
    }
    if (this.suspects.size >= this.options.suspectsMax) {
      for (const oldest of this.suspects) {
        this.suspects.delete(oldest)
        break
      }
    }
    this.suspects.add(podId)
  }
}
