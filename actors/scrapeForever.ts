import { Clock, Effect, Random } from "effect"
import type { AwayPods } from "./AwayPods.ts"
import { type ProbeFact, type Questioned, scrape } from "./PodFacts.ts"

interface ScrapeOptions {
  readonly scrapeTimeoutMs: number
  readonly scrapeIntervalMs: number
  readonly scrapeRetryMs: number
  readonly unhealthyAfterScrapes: number
  readonly awayScrapesPerS: number
}

interface Scraping extends Questioned {
  /** Read anew for each pause. */
  readonly options: ScrapeOptions
  /** Open: the next scrape is wanted at once. */
  readonly scrapeNow: Effect.Latch
  readonly away: AwayPods
}

/** What became of the last scrapes; `awayMs` is since the first of the failures began. */
export interface ScrapeRun {
  readonly failures: number
  readonly awayMs: number
  /** Of the last scrape. */
  readonly tookMs: number
  /** Pods that are away, this one included if it is. */
  readonly awayPods: number
}

/** A pod that has just come back is noticed within this share of the time that it was away. */
const AWAY_SHARE = 1 / 8

/**
 * From the end of a scrape to the next, before jitter. A pod in doubt is asked again soon, and time that its silence
 * took counts; one that stays away is asked ever more seldom, down to the interval of the others, and where so many are away
 * that asking them would cost too much, down to its share of what all of them get.
 */
export const scrapePauseMs = (options: ScrapeOptions, run: ScrapeRun): number => {
  const { awayMs, awayPods, failures, tookMs } = run
  const { awayScrapesPerS, scrapeIntervalMs, scrapeRetryMs } = options
  if (failures === 0) return scrapeIntervalMs
  const pauseMs = Math.min(scrapeIntervalMs, Math.max(scrapeRetryMs, awayMs * AWAY_SHARE))
  return isAway(options, failures)
    ? Math.max(pauseMs, (1000 * awayPods) / awayScrapesPerS)
    : Math.max(0, pauseMs - tookMs)
}

const isAway = ({ unhealthyAfterScrapes }: ScrapeOptions, failures: number): boolean =>
  failures >= unhealthyAfterScrapes

/** Asks the pod for its metrics for ever, never twice at once, and tells what came of it. */
export const scrapeForever = (
  pod: Scraping,
  tell: (fact: ProbeFact) => Effect.Effect<void, unknown>
): Effect.Effect<never> =>
  Effect.suspend(() => {
    let failures = 0
    let awaySinceMs = 0
    return Effect.gen(function*() {
      yield* pod.scrapeNow.close
      const beganMs = yield* Clock.currentTimeMillis
      const fact = yield* scrape(pod)
      yield* Effect.ignore(tell(fact))
      const endedMs = yield* Clock.currentTimeMillis
      failures = fact._tag === "ScrapeFailed" ? failures + 1 : 0
      if (failures <= 1) awaySinceMs = beganMs
      pod.away.note(pod, isAway(pod.options, failures))
      const pauseMs = scrapePauseMs(pod.options, {
        failures,
        awayMs: endedMs - awaySinceMs,
        tookMs: endedMs - beganMs,
        awayPods: pod.away.count
      })
      const jitter = yield* Random.nextRange(0.8, 1.2)
      yield* Effect.raceFirst(Effect.sleep(pauseMs * jitter), pod.scrapeNow.await)
    }).pipe(Effect.forever, Effect.ensuring(Effect.sync(() => pod.away.note(pod, false))))
  })
