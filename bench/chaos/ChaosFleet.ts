import { join } from "node:path"
import { anywhere, flags } from "../Process.ts"
import type { FrontMode } from "./FaultFront.ts"
import type { Fault } from "./faults.ts"
import type { Lateness } from "./lateness.ts"
import { behindAll, promoted } from "./priority.ts"
import type { FaultWindow } from "./tally.ts"

export interface ChaosFleetOptions {
  readonly count: number
  readonly hardware: string
  readonly model: string
}

interface PodMessage {
  readonly ready?: boolean
  readonly listening?: boolean
  readonly user?: string
  readonly answered?: string
  readonly writtenMs?: ReadonlyArray<number>
  readonly late?: Lateness
}

/** A process that is a pod once it listens. */
interface PodProcess {
  readonly child: Bun.Subprocess
  readonly listening: Promise<void>
}

const START_TIMEOUT_S = 30
/** A pod that will be lost has another one made ready so long before, since to start takes its core from the others. */
const SPARE_LEAD_S = 15
/** After a fault a stream may still wait for what was held back. */
const SETTLE_MS = 1000

/** Emulated pods in processes of their own, on what client and gateway leave of any core; their faults, and which pod saw which request. */
export class ChaosFleet {
  readonly ports: ReadonlyArray<number>
  /** Pods in the order in which they saw a user's request. */
  readonly seen = new Map<string, Array<number>>()
  readonly windows: Array<FaultWindow> = []
  /** When the events of a user's stream were written by the pod that ended it. */
  readonly written = new Map<string, ReadonlyArray<number>>()
  /** By pod: when it came too late, for want of a core or for its own work. */
  readonly late: ReadonlyArray<Array<Lateness>>
  readonly #options: ChaosFleetOptions
  readonly #children: Array<Bun.Subprocess | undefined> = []
  readonly #spares = new Set<Bun.Subprocess>()
  #lastSpare = Promise.resolve()
  readonly #replacing = new Map<number, Promise<void>>()
  #stopped = false

  constructor(options: ChaosFleetOptions) {
    this.#options = options
    // Below the range of outgoing connections, so that none of them takes the port of a pod that is down.
    const base = 20_000 + Math.floor(Math.random() * 8000)
    this.ports = Array.from({ length: options.count }, (_, pod) => base + pod)
    this.late = this.ports.map(() => [])
  }

  get urls(): ReadonlyArray<string> {
    return this.ports.map((port) => `http://127.0.0.1:${port}`)
  }

  async start(): Promise<void> {
    await Promise.all(this.ports.map((_, pod) => this.#listen(pod, this.#spare(pod))))
  }

  /** What is known of requests so far is not needed any more. */
  forget(): void {
    this.seen.clear()
    this.written.clear()
    for (const late of this.late) late.length = 0
  }

  /** A process for the pod that is ready and does not listen yet. One starts at a time, so that the others keep their core. */
  #spare(pod: number): Promise<PodProcess> {
    const spare = this.#lastSpare.then(() => this.#spawn(pod))
    this.#lastSpare = spare.then(() => {}, () => {})
    return spare
  }

  async #spawn(pod: number): Promise<PodProcess> {
    if (this.#stopped) throw new Error("the fleet was stopped")
    const { hardware, model } = this.#options
    const ready = Promise.withResolvers<void>()
    const listening = Promise.withResolvers<void>()
    const argv = [
      process.execPath,
      join(import.meta.dir, "pod.ts"),
      ...flags({ port: this.ports[pod]!, hardware, model })
    ]
    const child = Bun.spawn([...anywhere(behindAll(argv))], {
      stdio: ["ignore", "ignore", "inherit"],
      ipc: (message: PodMessage) => {
        if (message.ready === true) ready.resolve()
        if (message.listening === true) listening.resolve()
        if (message.late !== undefined) this.late[pod]!.push(message.late)
        if (message.user !== undefined) this.#saw(message.user, pod)
        if (message.answered !== undefined) this.written.set(message.answered, message.writtenMs ?? [])
      }
    })
    this.#spares.add(child)
    const failed = (why: string): void => {
      const failure = new Error(`pod ${pod} ${why}`)
      ready.reject(failure)
      listening.reject(failure)
    }
    // Who waits for it hears of it; a pod that was killed has nobody.
    listening.promise.catch(() => {})
    void child.exited.then((code) => failed(`ended with ${code}`))
    const timer = setTimeout(() => failed("did not start"), START_TIMEOUT_S * 1000)
    await ready.promise.finally(() => clearTimeout(timer))
    await promoted(child.pid)
    return { child, listening: listening.promise }
  }

  async #listen(pod: number, starting: Promise<PodProcess>): Promise<void> {
    const { child, listening } = await starting
    this.#spares.delete(child)
    this.#children[pod] = child
    child.send("listen")
    await listening
  }

  /** Applies the faults at their times; resolves when the last one is over and every pod is back. */
  async play(faults: ReadonlyArray<Fault>): Promise<void> {
    await Promise.all(faults.map((fault) => this.#play(fault)))
  }

  async stop(): Promise<void> {
    this.#stopped = true
    for (const spare of this.#spares) spare.kill("SIGKILL")
    await Promise.all(this.ports.map((_, pod) => this.#kill(pod)))
  }

  async #play({ endS, kind, pods, startS }: Fault): Promise<void> {
    const leadS = Math.min(startS, SPARE_LEAD_S)
    await Bun.sleep((startS - leadS) * 1000)
    if (this.#stopped) return
    const isLost = kind === "kill" || kind === "hang"
    const spares = isLost ? pods.map((pod) => ({ pod, spare: this.#spare(pod) })) : []
    // Who waits for one hears of its failure; before that there is nobody.
    for (const { spare } of spares) spare.catch(() => {})
    await Bun.sleep(leadS * 1000)
    if (this.#stopped) return
    const windows = pods.map((pod): FaultWindow => ({ pod, startMs: performance.now(), endMs: Infinity }))
    this.windows.push(...windows)
    if (kind === "kill") await Promise.all(pods.map((pod) => this.#kill(pod)))
    else if (kind === "hang") { for (const pod of pods) this.#children[pod]?.kill("SIGSTOP") }
    else this.#tell(pods, kind)
    await Bun.sleep((endS - startS) * 1000)
    if (this.#stopped) return
    if (isLost) await Promise.all(spares.map(({ pod, spare }) => this.#replace(pod, spare)))
    else this.#tell(pods, "pass")
    for (const window of windows) window.endMs = performance.now() + SETTLE_MS
  }

  /** One after the other: where the machine is too busy for the plan, the end of one fault meets that of the next. */
  #replace(pod: number, spare: Promise<PodProcess>): Promise<void> {
    const replaced = (this.#replacing.get(pod) ?? Promise.resolve()).then(async () => {
      await this.#kill(pod)
      await this.#listen(pod, spare)
    })
    this.#replacing.set(pod, replaced)
    return replaced
  }

  async #kill(pod: number): Promise<void> {
    const child = this.#children[pod]
    child?.kill("SIGKILL")
    await child?.exited
  }

  #tell(pods: ReadonlyArray<number>, mode: FrontMode): void {
    for (const pod of pods) {
      try {
        this.#children[pod]?.send(mode)
      } catch {
        // On a machine too busy for the plan a fault may end after the next one has killed its pod.
      }
    }
  }

  #saw(user: string, pod: number): void {
    const pods = this.seen.get(user)
    if (pods === undefined) this.seen.set(user, [pod])
    else pods.push(pod)
  }
}
