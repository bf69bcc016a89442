import { Effect, Random } from "effect"
import type { ApiClient } from "./ApiClient.ts"
import { ApiFault } from "./ApiFault.ts"
import { type Fields, fieldsOf, integerOf, listOf, textOf } from "./fields.ts"
import type { RateLimitedLog } from "./RateLimitedLog.ts"

export interface ReflectorOptions {
  /** Objects asked for in one answer of a list. */
  readonly pageSize: number
  /** Objects kept; further ones are left out with a warning. */
  readonly objectsMax: number
  /** The server is asked to end a watch after this long, up to half as long again; the next one begins at once. */
  readonly watchTimeoutMs: number
  /** The server may take this much longer to end it. */
  readonly watchGraceMs: number
  /** A question that failed is asked again after this, doubling up to the most; ±50 %. */
  readonly retryMinMs: number
  readonly retryMaxMs: number
}

/** Which objects are followed, and how they are read. */
export interface ReflectorTarget<T> {
  /** In the plural, with the place: `pods in default`. */
  readonly what: string
  /** Paths of the same resource in several API groups; the first one that the server knows counts. */
  readonly paths: ReadonlyArray<string>
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
  /** A server that knows none of the paths, or forbids them, has no such objects; else that is a fault. */
  readonly optional: boolean
  /** The object as we keep it, or why it can't be read. */
  readonly decode: (object: Fields) => T | string
  /** Called after each change, and once after the first list. */
  readonly onChange: () => void
}

/** Failures in a row whose pause is the longest. */
const SLOWLY = 30

/** A server may fill its pages badly; one that has so many times those needed has no end of them. */
const PAGES_SLACK = 4

/** A watch that ends sooner than this without a word is asked again only after a pause. */
const WATCH_SHORTEST_MS = 1000

/**
 * Keeps a copy of some objects of the cluster: lists them page by page, watches from there, and lists anew when the
 * server has forgotten where we were (410). An object that can't be read is passed over, and what was known of it stays.
 */
export class Reflector<T> {
  private readonly client: ApiClient
  private readonly target: ReflectorTarget<T>
  private readonly options: ReflectorOptions
  private readonly log: RateLimitedLog
  private readonly nowMs: () => number
  private byName = new Map<string, T>()
  private path: string
  private version = ""
  private failures = 0
  private listed = false

  constructor(
    client: ApiClient,
    target: ReflectorTarget<T>,
    options: ReflectorOptions,
    log: RateLimitedLog,
    nowMs: () => number
  ) {
    this.client = client
    this.target = target
    this.options = options
    this.log = log
    this.nowMs = nowMs
    this.path = target.paths[0] ?? ""
  }

  /** By `metadata.name`, in no particular order. */
  get objects(): ReadonlyMap<string, T> {
    return this.byName
  }

  /** True once the objects have been listed, or are known to be none. */
  get synced(): boolean {
    return this.listed
  }

  /** Follows for ever. Fails when the first list does, unless the objects are optional; later faults are retried. */
  readonly run: Effect.Effect<never, ApiFault> = Effect.gen(this, function*() {
    while (true) {
      const fault = yield* Effect.catchAll(Effect.as(this.list(), undefined), Effect.succeed)
      if (fault === undefined) {
        this.failures = 0
        this.settle()
        yield* this.watchUntilExpired()
      } else {
        // Pages that expired in between are listed anew; nothing is wrong with them.
        if (!this.listed && !this.target.optional && !fault.expired) return yield* Effect.fail(fault)
        if (this.isAbsent(fault)) this.absent(fault)
        else if (!fault.expired) this.warnOf(fault)
        yield* this.pause(fault)
      }
    }
  })

  private isAbsent({ status }: ApiFault): boolean {
    return this.target.optional && (status === 404 || status === 403)
  }

  /** Asked again slowly: the CRD or the right may come later. */
  private absent(fault: ApiFault): void {
    this.failures = SLOWLY
    if (fault.status === 404) this.byName = new Map()
    else this.warnOf(fault)
    this.settle()
  }

  private settle(): void {
    this.listed = true
    this.target.onChange()
  }

  private warnOf(fault: ApiFault): void {
    const kept = this.listed ? `; the last ${this.byName.size} known stay` : ""
    this.log.warn(`fault of ${this.target.what}`, `${fault.message}${kept}; trying again`)
  }

  private pause({ retryAfterMs }: { readonly retryAfterMs: number | undefined }): Effect.Effect<void> {
    const { retryMaxMs, retryMinMs } = this.options
    const backoffMs = Math.min(retryMaxMs, retryMinMs * 2 ** Math.min(this.failures, SLOWLY))
    this.failures++
    const waitMs = Math.max(backoffMs, Math.min(retryMaxMs, retryAfterMs ?? 0))
    return Effect.flatMap(Random.next, (random) => Effect.sleep(waitMs * (0.5 + random)))
  }

  private list(): Effect.Effect<void, ApiFault> {
    return Effect.gen(this, function*() {
      let fault: ApiFault | undefined
      for (const path of this.target.paths) {
        const listed = yield* Effect.either(this.listPath(path))
        if (listed._tag === "Right") return
        fault = listed.left
        if (fault.status !== 404) break
      }
      if (fault !== undefined) return yield* Effect.fail(fault)
    })
  }

  private listPath(path: string): Effect.Effect<void, ApiFault> {
    const { objectsMax, pageSize } = this.options
    const { what } = this.target
    const pagesMax = PAGES_SLACK * (1 + Math.ceil(objectsMax / pageSize))
    return Effect.gen(this, function*() {
      const objects = new Map<string, T>()
      let pages = 0
      let next = ""
      let version = ""
      do {
        const query = { ...this.selectors(), limit: String(pageSize), ...(next === "" ? {} : { continue: next }) }
        const page = yield* this.client.get({ path, query, what: `list ${what}` })
        if (++pages > pagesMax) return yield* Effect.fail(this.nonsense(`it has more than ${pagesMax} pages`))
        const items = listOf(page["items"])
        const metadata = fieldsOf(page["metadata"])
        if (items === undefined || metadata === undefined) return yield* Effect.fail(this.nonsense("it is not a list"))
        for (const item of items) this.keep(objects, fieldsOf(item))
        version = textOf(metadata["resourceVersion"]) ?? ""
        next = textOf(metadata["continue"]) ?? ""
      } while (next !== "" && objects.size < objectsMax)
      this.byName = objects
      this.path = path
      this.version = version
    })
  }

  private nonsense(why: string): ApiFault {
    return new ApiFault({ what: `list ${this.target.what}`, status: 0, why, retryAfterMs: undefined })
  }

  private selectors(): Readonly<Record<string, string>> {
    const { fieldSelector, labelSelector } = this.target
    return {
      ...(labelSelector === undefined ? {} : { labelSelector }),
      ...(fieldSelector === undefined ? {} : { fieldSelector })
    }
  }

  private watchUntilExpired(): Effect.Effect<void> {
    return Effect.gen(this, function*() {
      while (true) {
        const startMs = this.nowMs()
        const fault = yield* Effect.catchAll(Effect.as(this.watch(), undefined), Effect.succeed)
        if (fault?.expired === true) return
        const lived = this.nowMs() - startMs >= WATCH_SHORTEST_MS
        if (lived) this.failures = 0
        // A connection that is cut once is everyday life in a cluster.
        if (fault !== undefined && (fault.status !== 0 || this.failures > 0)) this.warnOf(fault)
        if (fault === undefined && lived) continue
        yield* this.pause({ retryAfterMs: fault?.retryAfterMs })
      }
    })
  }

  /** One watch up to its end; fails with what the server said when it ended it with an error. */
  private watch(): Effect.Effect<void, ApiFault> {
    const { watchGraceMs, watchTimeoutMs } = this.options
    const what = `watch ${this.target.what}`
    return Effect.gen(this, function*() {
      const timeoutS = Math.max(1, Math.round(watchTimeoutMs * (1 + (yield* Random.next) / 2) / 1000))
      const query = {
        ...this.selectors(),
        watch: "true",
        allowWatchBookmarks: "true",
        resourceVersion: this.version,
        timeoutSeconds: String(timeoutS)
      }
      let ended: ApiFault | undefined
      yield* this.client.watch({ path: this.path, query, what }, timeoutS * 1000 + watchGraceMs, {
        onLine: (line) => {
          ended ??= this.apply(line, what)
        },
        onTooLong: () =>
          this.log.warn(`size of ${this.target.what}`, `one of the ${this.target.what} is too large and is passed over`)
      })
      if (ended !== undefined) return yield* Effect.fail(ended)
    })
  }

  /** Takes in one event of the watch; the fault when it is the server's last word. */
  private apply(line: string, what: string): ApiFault | undefined {
    let event: Fields | undefined
    try {
      event = fieldsOf(JSON.parse(line))
    } catch {
      event = undefined
    }
    const object = fieldsOf(event?.["object"])
    const type = event?.["type"]
    if (object === undefined || typeof type !== "string") {
      this.log.warn(
        `event of ${this.target.what}`,
        `an event of the ${this.target.what} can't be read and is passed over`
      )
      return undefined
    }
    if (type === "ERROR") {
      const status = integerOf(object["code"], 0, 999) ?? 0
      return new ApiFault({ what, status, why: `the server ended it: ${sayingOf(object)}`, retryAfterMs: undefined })
    }
    const metadata = fieldsOf(object["metadata"])
    this.version = textOf(metadata?.["resourceVersion"]) ?? this.version
    this.failures = 0
    if (type === "BOOKMARK") return undefined
    if (type === "DELETED") this.byName.delete(textOf(metadata?.["name"]) ?? "")
    else this.keep(this.byName, object)
    this.target.onChange()
    return undefined
  }

  private keep(objects: Map<string, T>, object: Fields | undefined): void {
    const { decode, what } = this.target
    const name = textOf(fieldsOf(object?.["metadata"])?.["name"])
    const decoded = object === undefined || name === undefined ? "has no name" : decode(object)
    if (typeof decoded === "string") {
      this.log.warn(`object of ${what}`, `of the ${what}, ${name ?? "one"} is passed over: ${decoded}`)
      const known = name === undefined ? undefined : this.byName.get(name)
      if (name !== undefined && known !== undefined) objects.set(name, known)
    } else if (name !== undefined) {
      const { objectsMax } = this.options
      if (objects.size < objectsMax || objects.has(name)) objects.set(name, decoded)
      else this.log.warn(`number of ${what}`, `there are more than ${objectsMax} ${what}; the rest is left out`)
    }
  }
}

const sayingOf = (status: Fields): string => (textOf(status["message"]) ?? "it does not say why").slice(0, 500)
