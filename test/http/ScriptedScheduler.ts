import type { Decision, PodFailure, RequestEnd, SchedulerPort } from "../../actors/SchedulerPort.ts"
import type { PodAddress, PodId } from "../../src/core/Pod.ts"
import type { RequestFeatures } from "../../src/core/RequestFeatures.ts"
import { NoPodAvailable } from "../../src/errors.ts"

/** Picks pods in turn and writes down everything it is told. */
export class ScriptedScheduler implements SchedulerPort {
  readonly picks: Array<{ readonly request: RequestFeatures; readonly excluded: ReadonlyArray<string> }> = []
  /** Ends by reservation; more than one in a list is a bug of the caller. */
  readonly ends = new Map<number, Array<RequestEnd>>()
  readonly firstTokens: Array<number> = []
  readonly failures: Array<PodFailure & { readonly id: string }> = []
  /** Set to make picks fail or wait. */
  beforePick: (request: RequestFeatures) => Promise<void> = async () => {}
  private readonly pods: ReadonlyArray<PodAddress>
  private next = 0
  /** Requests whose client left before they were placed. */
  readonly cancelled: Array<RequestFeatures> = []

  constructor(pods: ReadonlyArray<PodAddress>) {
    this.pods = pods
  }

  readonly cancel = (request: RequestFeatures): void => void this.cancelled.push(request)

  readonly pick = async (request: RequestFeatures, excluded: ReadonlyArray<string> = []): Promise<Decision> => {
    this.picks.push({ request, excluded })
    await this.beforePick(request)
    const left = this.pods.filter((pod) =>
      !excluded.includes(pod.id) && (request.only?.some((name) => name === pod.id || name === pod.hostname) ?? true)
    )
    const address = left[this.next % Math.max(1, left.length)]
    if (address === undefined) throw new NoPodAvailable({ message: "no pod left", retryAfterS: 1 })
    const reservation = this.next++
    this.ends.set(reservation, [])
    return {
      reservation,
      address,
      policy: "scripted",
      promptTokens: request.promptTokens,
      hitTokens: 0,
      predictedTtftS: Number.NaN,
      fallbacks: left.filter((pod) => pod !== address).slice(0, request.fallbacksMax ?? 0)
    }
  }

  /** What it answers when asked how long a refused request should stay away. */
  paceS = 1

  readonly retryAfterS = (): number => this.paceS

  readonly firstToken = (reservation: number): void => void this.firstTokens.push(reservation)

  readonly end = (reservation: number, end: RequestEnd): void => void this.ends.get(reservation)?.push(end)

  readonly podFailed = (id: PodId, failure: PodFailure): void => void this.failures.push({ id, ...failure })

  /** Outcomes in the order of the reservations; throws unless each ended exactly once. */
  outcomes(): Array<string> {
    return [...this.ends].map(([reservation, ends]) => {
      if (ends.length !== 1) throw new Error(`reservation ${reservation} ended ${ends.length} times`)
      return ends[0]?.outcome ?? ""
    })
  }
}
