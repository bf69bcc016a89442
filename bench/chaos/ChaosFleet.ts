import { join } from "node:path"
import { flags, pinned } from "../Process.ts"
import type { FrontMode } from "./FaultFront.ts"
import type { Fault } from "./faults.ts"
import { promoted, startedGently } from "./realtime.ts"
import type { FaultWindow } from "./tally.ts"

export interface ChaosFleetOptions {
  readonly count: number
  readonly hardware: string
  readonly model: string
  /** The core that all pods share. */
  readonly core: number
}

interface PodMessage {
  readonly ready?: boolean
  readonly user?: string
  readonly lagMs?: number
}

const START_TIMEOUT_S = 30
/** After a fault a stream may still wait for what was held back. */
const SETTLE_MS = 1000

/** Emulated pods in processes of their own, their faults, and which pod saw which request. */
export class ChaosFleet {
  readonly ports: ReadonlyArray<number>
  /** Pods in the order in which they saw a user's request. */
  readonly seen = new Map<string, Array<number>>()
  readonly windows: Array<FaultWindow> = []
  /** The most by which a pod came too late for want of a core: stalls of about this length are not the gateway's. */
  lagMs = 0
  readonly #options: ChaosFleetOptions
  readonly #children: Array<Bun.Subprocess | undefined> = []
  #stopped = false

  constructor(options: ChaosFleetOptions) {
    this.#options = options
    // Below the range of outgoing connections, so that none of them takes the port of a pod that is down.
    const base = 20_000 + Math.floor(Math.random() * 8000)
    this.ports = Array.from({ length: options.count }, (_, pod) => base + pod)
  }

  get urls(): ReadonlyArray<string> {
    return this.ports.map((port) => `http://127.0.0.1:${port}`)
  }

  async start(): Promise<void> {
    await Promise.all(this.ports.map((_, pod) => this.startPod(pod)))
  }

  async startPod(pod: number): Promise<void> {
    const { core, hardware, model } = this.#options
    let settle: (failure?: Error) => void = () => {}
    const ready = new Promise<void>((resolve, reject) => {
      settle = (failure) => failure === undefined ? resolve() : reject(failure)
    })
    const argv = [
      process.execPath,
      join(import.meta.dir, "pod.ts"),
      ...flags({ port: this.ports[pod]!, hardware, model })
    ]
    const child = Bun.spawn([...pinned(core, startedGently(argv))], {
      stdio: ["ignore", "ignore", "inherit"],
      ipc: (message: PodMessage) => {
        if (message.ready === true) settle()
        if (message.lagMs !== undefined) this.lagMs = Math.max(this.lagMs, message.lagMs)
        if (message.user !== undefined) this.#saw(message.user, pod)
      }
    })
    this.#children[pod] = child
    const timer = setTimeout(() => settle(new Error(`pod ${pod} did not start`)), START_TIMEOUT_S * 1000)
    void child.exited.then((code) => settle(new Error(`pod ${pod} ended with ${code} while it started`)))
    await ready.finally(() => clearTimeout(timer))
    await promoted(child.pid)
  }

  /** Applies the faults at their times; resolves when the last one is over and every pod is back. */
  async play(faults: ReadonlyArray<Fault>): Promise<void> {
    await Promise.all(faults.map((fault) => this.#play(fault)))
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all(this.ports.map((_, pod) => this.#kill(pod)))
  }

  async #play({ endS, kind, pods, startS }: Fault): Promise<void> {
    await Bun.sleep(startS * 1000)
    if (this.#stopped) return
    const windows = pods.map((pod): FaultWindow => ({ pod, startMs: performance.now(), endMs: Infinity }))
    this.windows.push(...windows)
    if (kind === "kill") await Promise.all(pods.map((pod) => this.#kill(pod)))
    else if (kind === "hang") { for (const pod of pods) this.#children[pod]?.kill("SIGSTOP") }
    else this.#tell(pods, kind)
    await Bun.sleep((endS - startS) * 1000)
    if (this.#stopped) return
    if (kind === "kill" || kind === "hang") await Promise.all(pods.map((pod) => this.#restart(pod)))
    else this.#tell(pods, "pass")
    for (const window of windows) window.endMs = performance.now() + SETTLE_MS
  }

  async #restart(pod: number): Promise<void> {
    await this.#kill(pod)
    await this.startPod(pod)
  }

  async #kill(pod: number): Promise<void> {
    const child = this.#children[pod]
    child?.kill("SIGKILL")
    await child?.exited
  }

  #tell(pods: ReadonlyArray<number>, mode: FrontMode): void {
    for (const pod of pods) this.#children[pod]?.send(mode)
  }

  #saw(user: string, pod: number): void {
    const pods = this.seen.get(user)
    if (pods === undefined) this.seen.set(user, [pod])
    else pods.push(pod)
  }
}
