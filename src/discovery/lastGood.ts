import { Duration, Effect, Option, Ref, Schedule, Stream } from "effect"
import { counted } from "../core/counted.ts"
import type { PodAddress } from "../core/Pod.ts"
import { DiscoveryError } from "./Discovery.ts"
import { samePods } from "./samePods.ts"

type PodList = ReadonlyArray<PodAddress>

interface Seen {
  readonly pods: PodList | undefined
  /** Why the last reading failed, so that a lasting fault is logged once. */
  readonly fault: string | undefined
}

/** First complaint about a list of pods, or undefined. Two entries of one id would count one pod twice. */
export const faultOfList = (pods: PodList, podsMax: number): string | undefined => {
  if (pods.length > podsMax) {
    return `${counted(pods.length, "pod")}, more than the ${podsMax} that the gateway takes (limits.podsMax)`
  }
  const entryOf = new Map<string, number>()
  for (const [index, pod] of pods.entries()) {
    const earlier = entryOf.get(pod.id)
    if (earlier !== undefined) return `entry ${index + 1} repeats ${pod.id} of entry ${earlier}; remove one`
    entryOf.set(pod.id, index + 1)
  }
  return undefined
}

/** A pulse now and then every `intervalMs` after the reader was done. */
export const pulses = (intervalMs: number): Stream.Stream<void> =>
  Stream.repeatEffectWithSchedule(Effect.void, Schedule.spaced(Duration.millis(intervalMs)))

/**
 * Reads the source at each pulse and passes on the set when it differs from the last one.
 * Fails when the first reading does. A later fault is a warning in the log and the last good set stands.
 */
export const lastGood = (
  source: string,
  pulse: Stream.Stream<void>,
  read: Effect.Effect<PodList, string>
): Stream.Stream<PodList, DiscoveryError> =>
  Stream.unwrap(Effect.map(Ref.make<Seen>({ pods: undefined, fault: undefined }), (seen) => {
    const good = (pods: PodList) =>
      Effect.gen(function*() {
        const before = yield* Ref.getAndSet(seen, { pods, fault: undefined })
        if (before.fault !== undefined) yield* Effect.logInfo(`discovery: ${source} can be read again`)
        return before.pods !== undefined && samePods(before.pods, pods) ? Option.none() : Option.some(pods)
      })
    const bad = (why: string) =>
      Effect.gen(function*() {
        const { fault, pods } = yield* Ref.get(seen)
        if (pods === undefined) return yield* new DiscoveryError({ source, why })
        if (fault !== why) {
          yield* Effect.logWarning(
            `discovery: ${source}: ${why}; the last good list stands (${counted(pods.length, "pod")})`
          )
        }
        yield* Ref.set(seen, { pods, fault: why })
        return Option.none<PodList>()
      })
    return Stream.filterMap(
      Stream.mapEffect(pulse, () => Effect.matchEffect(read, { onSuccess: good, onFailure: bad })),
      (change) => change
    )
  }))
