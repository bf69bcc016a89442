import { Clock, Effect, LogLevel } from "effect"
import { logTurn, observe, type Reporting } from "./podReports.ts"
import type { PodState } from "./PodState.ts"

/** A pod that is judged by what it said, and did not say. */
interface Judged extends Reporting {
  readonly options: {
    readonly scrapeTimeoutMs: number
    readonly unhealthyAfterScrapes: number
    readonly unhealthyAfterDispatches: number
    readonly warnEveryMs: number
  }
}

/** A single silence between good scrapes is no proof; the same with failed scrapes or requests around it is. */
export const judgeSilence = (pod: Judged, state: PodState): Effect.Effect<PodState> =>
  Effect.gen(function*() {
    const { scrapeFailures, silence } = state
    if (silence === undefined) return state
    const fails = failsDispatches(pod, state)
    if (!fails && scrapeFailures < pod.options.unhealthyAfterScrapes) return state
    const reason = silenceOf(pod, state, silence.why)
    const mayBeBusy = !fails && silence.isLate && state.described !== undefined
    return yield* mayBeBusy && (yield* hasJustAnswered(pod, state))
      ? strain(pod, state, reason)
      : fallIll(pod, state, reason)
  })

/** The reason that a silent pod is known by. */
export const silenceOf = (pod: Judged, state: PodState, silence: string): string =>
  failsDispatches(pod, state) ? `${silence}; a request there failed: ${state.dispatchFailure}` : silence

export const fallIll = (pod: Judged, state: PodState, reason: string): Effect.Effect<PodState> => {
  if (state.health === "unhealthy") return Effect.succeed({ ...state, reason })
  return logTurn(pod, LogLevel.Warning, `pod ${pod.id} is unhealthy and gets no requests: ${reason}`).pipe(
    Effect.map(() => observe(pod, { ...state, health: "unhealthy", isStrained: false, reason }))
  )
}

/**
 * A busy vLLM may answer no question for half a minute while its streams go on. Where it is the only one that could take
 * a request, that is no reason to have none.
 */
const strain = (pod: Judged, state: PodState, why: string): Effect.Effect<PodState> => {
  const reason = `it answers requests, but no question about itself: ${why}`
  if (state.isStrained) return Effect.succeed({ ...state, reason })
  return logTurn(pod, LogLevel.Warning, `pod ${pod.id} gets only what no other pod can take: ${reason}`).pipe(
    Effect.map(() => observe(pod, { ...state, health: "healthy", isStrained: true, reason }))
  )
}

/** So many times what a question may take: a pod that hangs answers no request for longer before it is judged. */
const JUST_ANSWERED = 2

const hasJustAnswered = (
  { options: { scrapeTimeoutMs } }: Judged,
  { answeredAtMs }: PodState
): Effect.Effect<boolean> =>
  Effect.map(Clock.currentTimeMillis, (nowMs) => nowMs - answeredAtMs <= JUST_ANSWERED * scrapeTimeoutMs)

const failsDispatches = ({ options: { unhealthyAfterDispatches } }: Judged, { dispatchFailures }: PodState): boolean =>
  dispatchFailures >= unhealthyAfterDispatches
