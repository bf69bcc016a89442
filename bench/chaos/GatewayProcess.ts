import { freePort, pinned, Process, untilAnswers } from "../Process.ts"
import type { Gateway } from "../proxy/gateways.ts"
import { type GatewayState, readPage, rssMbOf, stateOf } from "./gatewayState.ts"
import { MODEL } from "./requests.ts"

const START_TIMEOUT_S = 30
const DRAIN_TIMEOUT_MS = 10_000

/** One gateway under chaos: started, killed and started again at the same address. */
export class GatewayProcess {
  readonly port = freePort()
  readonly #name: string
  readonly #argv: ReadonlyArray<string>
  readonly #metricsUrl: string
  #starts = 0
  #child: Process | undefined

  constructor(gateway: Gateway, podPorts: ReadonlyArray<number>, core: number) {
    this.#name = gateway.name
    const argv = gateway.argv(this.port, podPorts)
    this.#argv = pinned(core, argv)
    const metricsPort = argv[argv.indexOf("--prometheus-port") + 1]
    this.#metricsUrl = `http://127.0.0.1:${argv.includes("--prometheus-port") ? metricsPort : this.port}/metrics`
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  get rssMb(): number {
    return rssMbOf(this.pid)
  }

  /** Waits until it answers for the pods' model. */
  async start(): Promise<void> {
    this.#child = new Process({ name: `chaos-${this.#name}-${++this.#starts}`, argv: this.#argv })
    const reason = await untilAnswers(this.#child, `http://127.0.0.1:${this.port}/v1/models`, MODEL, START_TIMEOUT_S)
    if (reason !== undefined) throw new Error(`${this.#name} did not start: ${reason}`)
  }

  async kill(): Promise<void> {
    this.#child?.kill("SIGKILL")
    await this.#child?.exited
  }

  async stop(): Promise<void> {
    await this.#child?.stop()
  }

  page(): Promise<string> {
    return readPage(this.#metricsUrl)
  }

  /** Its state once nothing is in hand, or as it is after ten seconds. */
  async drained(): Promise<GatewayState> {
    const deadline = performance.now() + DRAIN_TIMEOUT_MS
    for (;;) {
      const state = stateOf(this.#name, await this.page())
      if (state.inflight === 0 || performance.now() > deadline) return state
      await Bun.sleep(100)
    }
  }
}
