import { Duration, Schema } from "effect"
import { BytesText } from "./BytesText.ts"
import { DurationOrZero, DurationText } from "./DurationText.ts"
import { count, perhaps, setting } from "./schemaParts.ts"

const MANY = 1_000_000
const MIB = 1024 * 1024

const Priority = Schema.Int.pipe(Schema.between(-MANY, MANY))

const Band = Schema.Struct({
  /** The requests that it is about: those of this priority. */
  priority: Priority,
  /** Longest wait of its requests, under overload too. Default: `waiting.timeout`. */
  timeout: perhaps(DurationText),
  /** TTFT that its requests are kept to under overload. Default: `waiting.ttftTarget`; none where the band has a timeout. */
  ttftTarget: perhaps(DurationText),
  /** Of its requests that may wait at once. Default: `waiting.requestsMax`. */
  requestsMax: perhaps(count(0, MANY)),
  /** Its requests go to no pod with more prefill ahead, so that those above find a short queue. At most, and by default, `waiting.podQueueMax`. */
  podQueueMax: perhaps(DurationText)
})

/** Bands of different priorities. */
const Bands = Schema.Array(Band).pipe(
  Schema.filter((bands) => {
    const again = bands.findIndex(({ priority }, index) =>
      bands.findIndex((other) => other.priority === priority) < index
    )
    return again < 0
      ? undefined
      : { path: [again, "priority"], message: `repeats the priority ${bands[again]?.priority} of an earlier band` }
  })
)

export const Waiting = Schema.Struct({
  /** Keep requests at the gateway while every pod would queue them, so that they can still go anywhere. Default true. */
  enabled: setting(Schema.Boolean, true),
  /** Requests that may wait at once; one more is answered 429, or pushes out one of a negative priority. Default 4096. */
  requestsMax: setting(count(0, MANY), 4096),
  /** Memory of the requests that wait. Default 512 MiB. */
  bytesMax: setting(BytesText, 512 * MIB),
  /** Longest wait, then 429; a client may ask for a shorter one. Default 2 minutes, less under overload: `ttftTarget`. */
  timeout: perhaps(DurationText),
  /** TTFT under overload: requests that would miss it are answered 429 at once, so that the others meet it; pods keep KV to spare and a fiftieth of `podQueueMax`. Default 2 seconds; none where a `timeout` is set. */
  ttftTarget: perhaps(DurationText),
  /** A band is overloaded once more work came to wait in it than went on for so long; what is shorter is a burst. Default 20 seconds. */
  overloadAfter: setting(DurationText, Duration.seconds(20)),
  /** A band leaves room to those above it for so long after one of their requests came: it keeps the queues of pods below a fiftieth of `podQueueMax`, unless it has one of its own, and a little KV free. 0: never. Default 1 minute. */
  yieldFor: setting(DurationOrZero, Duration.minutes(1)),
  /** Longest wait while every pod that serves the model is away, then 503; it does not count against `timeout`. 0 refuses at once; minutes bridge a scale from zero. Default 10 seconds. */
  podlessTimeout: setting(DurationOrZero, Duration.seconds(10)),
  /** After this a request waits for its turn only, no more for KV room or for the sake of others' caches. Default 30 seconds. */
  patience: setting(DurationText, Duration.seconds(30)),
  /** A pod has no room while more prefill than this waits there. Default 1 second. */
  podQueueMax: setting(DurationText, Duration.seconds(1)),
  /** A prompt with more uncached tokens waits while it would flush what others come back for. Default 16000. */
  giantTokens: setting(count(0, MANY), 16_000),
  /** Priorities by the name that a client's `x-llm-d-inference-objective` says; before those of a cluster. Default none. */
  objectives: setting(Schema.Record({ key: Schema.NonEmptyString, value: Priority }), {}),
  /** Bands of priority with bounds of their own. Default none. */
  bands: setting(Bands, []),
  /** Let clients say their priority as a number, `x-warmroute-priority`. Default false. */
  priorityHeader: setting(Schema.Boolean, false),
  /** Let clients name the flow that they share in, `x-llm-d-inference-fairness-id`: always, never, or auto, where they come without a key; others share by keys. Default auto. */
  flowHeader: setting(Schema.Literal("auto", "always", "never"), "auto")
})

/** Where no `timeout` is set. */
const TIMEOUT = Duration.minutes(2)
const TTFT_TARGET = Duration.seconds(2)
/** Of a TTFT target: the rest is for the prefill, the queue of the pod, and what estimates miss. */
const WAIT_SHARE = 0.6
/** Of the usual queue of a pod: while more wait at the gateway than can go on, or others need it, it gains little. */
const QUEUE_SHARE = 0.02

/** What may be said of all requests or of a band. */
interface Bounds {
  readonly timeout?: Duration.Duration | undefined
  readonly ttftTarget?: Duration.Duration | undefined
}

export const timeoutOf = ({ timeout }: Bounds): Duration.Duration => timeout ?? TIMEOUT

/** Seconds that requests wait under overload; Infinity: as long as at other times. */
export const overloadWaitS = (
  { timeout, ttftTarget = timeout === undefined ? TTFT_TARGET : undefined }: Bounds
): number => ttftTarget === undefined ? Number.POSITIVE_INFINITY : WAIT_SHARE * Duration.toSeconds(ttftTarget)

/** The same of a band; undefined: that of all. */
export const bandOverloadWaitS = (band: Bounds): number | undefined =>
  band.timeout === undefined && band.ttftTarget === undefined ? undefined : overloadWaitS(band)

/** Seconds of prefill ahead of a request on its pod, at most, under overload or below a band in use. */
export const shortQueueMaxS = (podQueueMax: Duration.Duration): number => QUEUE_SHARE * Duration.toSeconds(podQueueMax)
