export interface PodActorOptions {
  /** Between the end of a scrape and the next, ±20 % so that pods are not asked all at once. */
  readonly scrapeIntervalMs: number
  /** The same after a scrape that failed; an eighth of the time that the pod is away if that is more, up to the interval. */
  readonly scrapeRetryMs: number
  /** For each question asked of the pod. */
  readonly scrapeTimeoutMs: number
  /** Scrapes that fail in a row before silence on /health is proof; it is asked along with the last of them. */
  readonly unhealthyAfterScrapes: number
  /** Of pods that failed so many, all together; with more of them each is asked more seldom. */
  readonly awayScrapesPerS: number
  /** After so many failed requests without a good scrape between, it is asked at once, and silence is proof. */
  readonly unhealthyAfterDispatches: number
  /** Its models, version and health are asked again after so many scrapes. */
  readonly modelsEveryScrapes: number
  /** The same kind of warning is logged at most this often, and of turns of health only a few in this time. */
  readonly warnEveryMs: number
  readonly mailboxCapacity: number
  readonly restartsMax: number
  readonly restartWindowMs: number
  readonly backoffMinMs: number
  readonly backoffMaxMs: number
}

export const podActorDefaults: PodActorOptions = {
  scrapeIntervalMs: 1000,
  scrapeRetryMs: 250,
  scrapeTimeoutMs: 1000,
  unhealthyAfterScrapes: 3,
  awayScrapesPerS: 100,
  unhealthyAfterDispatches: 3,
  modelsEveryScrapes: 30,
  warnEveryMs: 60_000,
  mailboxCapacity: 64,
  restartsMax: 5,
  restartWindowMs: 60_000,
  backoffMinMs: 100,
  backoffMaxMs: 5000
}
