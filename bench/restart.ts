import { readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import type { BenchOptions } from "./Bench.ts"
import { type Flags, wholeNumberOf } from "./flags.ts"
import { freePort, Process, untilAnswers, workDirectory } from "./Process.ts"
import { hitRate, reachedAtMs, Traffic } from "./restart/traffic.ts"
import { emulateArgv, serveArgv, snapshotFiles, STARTED_COLD, type WarmrouteSettings } from "./Warmroute.ts"

export const name = "restart"
export const claim =
  "at least 90 % of the hit rate is back within 2 s of a restart, and kill -9 at 50 random instants " +
  "never costs a start or a snapshot"

const PODS = 4
// The `small` preset holds 60,000 tokens a pod. 96 prefixes of about 1,600 tokens are 2.5 pods' worth: the fleet holds
// them all, one pod does not, so a gateway that forgets which pod holds what loses hits.
const PREFIXES = 96
const PREFIX_BYTES = 6400
const HARDWARE = "small"
const SPEED = 100
const CONCURRENCY = 8
// As short as a kill needs to meet a write now and then.
const SNAPSHOT_INTERVAL = "200 millis"
/** Answers over which a hit rate is taken to be back. */
const WINDOW = 40
const READY_TIMEOUT_S = 15

interface Gateway {
  readonly child: Process
  readonly hasSnapshot: boolean
  readonly spawnedAtMs: number
  readonly readyAtMs: number
}

/** One gateway process after another over the same pods, the same port and the same snapshot. */
class Restarts {
  readonly #settings: WarmrouteSettings
  readonly url: string
  starts = 0
  failedStarts = 0
  lostSnapshots = 0
  #current: Gateway | undefined

  constructor(settings: WarmrouteSettings) {
    this.#settings = settings
    this.url = `http://127.0.0.1:${settings.port}`
  }

  /** Starts it and waits until it is ready; undefined, and one more failed start, when it never is. */
  async start(hasSnapshot: boolean): Promise<Gateway | undefined> {
    const spawnedAtMs = performance.now()
    const child = new Process({ name: `restart-gateway-${++this.starts}`, argv: serveArgv(this.#settings) })
    const reason = await untilAnswers(child, `${this.url}/readyz`, "", READY_TIMEOUT_S)
    this.#current = { child, hasSnapshot, spawnedAtMs, readyAtMs: performance.now() }
    if (reason === undefined) return this.#current
    this.failedStarts++
    console.error(`start ${this.starts} failed: ${reason}`)
    await this.stop("SIGKILL")
    return undefined
  }

  /** Ends the current gateway and reads in its log whether it began without the snapshot that was there. */
  async stop(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    if (this.#current === undefined) return
    const { child, hasSnapshot } = this.#current
    this.#current = undefined
    if (signal === "SIGKILL") child.kill("SIGKILL")
    await child.stop()
    if (hasSnapshot && STARTED_COLD.test(readFileSync(child.logFile, "utf8"))) {
      this.lostSnapshots++
      console.error(`start ${this.starts} did not take its snapshot, see ${child.logFile}`)
    }
  }
}

export const flags = { kills: { takes: "N", help: "how often it is killed; default 50" } } satisfies Flags
type Options = BenchOptions<typeof flags>

export const run = async (options: Options): Promise<object> => {
  const kills = wholeNumberOf("kills", options.values.kills ?? (options.quick ? "8" : "50"), 0)
  const directory = join(workDirectory, "restart")
  rmSync(directory, { recursive: true, force: true })
  const podPort = 20_000 + Math.floor(Math.random() * 8000)
  const pods = new Process({ name: "restart-pods", argv: emulateArgv(PODS, podPort, HARDWARE, SPEED) })
  const podPorts = Array.from({ length: PODS }, (_, i) => podPort + i)
  const restarts = new Restarts({
    port: freePort(),
    podPorts,
    preset: HARDWARE,
    directory,
    snapshotInterval: SNAPSHOT_INTERVAL
  })
  try {
    const model = await untilPodsServe(pods, podPorts)
    const traffic = new Traffic(restarts.url, model, PREFIXES, PREFIX_BYTES)
    const graceful = await stopAndStart(restarts, traffic, options)
    const killed = await killOften(restarts, traffic, kills, options)
    const cold = await coldStart(restarts, traffic, directory, options)
    return { ...graceful, kills, failedStarts: restarts.failedStarts, ...killed, ...cold, starts: restarts.starts }
  } finally {
    await restarts.stop("SIGTERM")
    await pods.stop()
  }
}

const untilPodsServe = async (pods: Process, ports: ReadonlyArray<number>): Promise<string> => {
  for (const port of ports) {
    const reason = await untilAnswers(pods, `http://127.0.0.1:${port}/v1/models`, "data", 20)
    if (reason !== undefined) throw new Error(`the emulated pods did not start: ${reason}`)
  }
  const models = await (await fetch(`http://127.0.0.1:${ports[0]}/v1/models`)).json() as {
    data: ReadonlyArray<{ id: string }>
  }
  const [first] = models.data
  if (first === undefined) throw new Error("the emulated pods serve no model")
  return first.id
}

const started = async (restarts: Restarts, hasSnapshot: boolean): Promise<Gateway> => {
  const gateway = await restarts.start(hasSnapshot)
  if (gateway === undefined) throw new Error("the gateway did not start; nothing to measure")
  return gateway
}

/** Warm up, measure, stop in order, start, measure again. */
const stopAndStart = async (restarts: Restarts, traffic: Traffic, options: Options): Promise<object> => {
  await started(restarts, false)
  for (let pass = 0; pass < 3; pass++) await traffic.pass(CONCURRENCY)
  const count = options.quick ? 200 : 600
  const hitBefore = hitRate(await traffic.burst(count, CONCURRENCY))
  options.progress(`hit rate when warm: ${hitBefore.toFixed(3)}`)
  await restarts.stop("SIGTERM")
  const gateway = await started(restarts, true)
  const hits = await traffic.burst(count, CONCURRENCY)
  const back = reachedAtMs(hits, 0.9 * hitBefore, WINDOW)
  const answer = {
    hitBefore: rounded(hitBefore),
    hitAfter: rounded(hitRate(hits.slice(0, WINDOW * 5))),
    readySeconds: rounded((gateway.readyAtMs - gateway.spawnedAtMs) / 1000),
    warmSeconds: back === undefined ? null : rounded((back - gateway.spawnedAtMs) / 1000)
  }
  options.progress(`after a restart: ${JSON.stringify(answer)}`)
  return answer
}

/** kill -9 under load, at a random instant after each start. */
const killOften = async (
  restarts: Restarts,
  traffic: Traffic,
  kills: number,
  options: Options
): Promise<object> => {
  const stopping = new AbortController()
  const pressed = traffic.press(CONCURRENCY, stopping.signal)
  const readyS: Array<number> = []
  for (let kill = 1; kill <= kills; kill++) {
    await Bun.sleep(Math.random() * 1500)
    await restarts.stop("SIGKILL")
    const gateway = await restarts.start(true)
    if (gateway !== undefined) readyS.push((gateway.readyAtMs - gateway.spawnedAtMs) / 1000)
    if (kill % 10 === 0) options.progress(`${kill} kills, ${restarts.failedStarts} failed starts`)
  }
  stopping.abort()
  const answeredDuringKills = await pressed
  const hits = await traffic.burst(WINDOW * 5, CONCURRENCY)
  const answer = {
    hitAfterKills: rounded(hitRate(hits)),
    lostSnapshots: restarts.lostSnapshots,
    readySecondsWorst: rounded(Math.max(0, ...readyS)),
    answeredDuringKills
  }
  options.progress(`after ${kills} kills: ${JSON.stringify(answer)}`)
  return answer
}

/** What the same restart is worth without a snapshot: the pods are as warm as before, the gateway knows nothing. */
const coldStart = async (
  restarts: Restarts,
  traffic: Traffic,
  directory: string,
  options: Options
): Promise<object> => {
  await restarts.stop("SIGTERM")
  for (const file of snapshotFiles(directory)) rmSync(file, { force: true })
  await started(restarts, false)
  const hitCold = rounded(hitRate(await traffic.burst(WINDOW * 5, CONCURRENCY)))
  options.progress(`without a snapshot: ${hitCold}`)
  return { hitCold }
}

const rounded = (value: number): number => Number(value.toFixed(3))
