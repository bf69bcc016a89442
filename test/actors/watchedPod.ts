import { Effect } from "effect"
import { AwayPods } from "../../actors/AwayPods.ts"
import { makePodActor, type PodHandle } from "../../actors/PodActor.ts"
import type { PodActorOptions } from "../../actors/PodActorOptions.ts"
import { podAddress } from "../../src/core/Pod.ts"
import type { PodMetrics } from "../../src/vllm/MetricsText.ts"
import { type PodProbe, PodProbeError } from "../../src/vllm/PodProbe.ts"
import { VirtualTime } from "../world/VirtualTime.ts"
import { constants, type SchedulerInbox, schedulerInbox } from "./schedulerInbox.ts"

/** refuses: nobody listens. hangs: no answer ever. busy: only to requests. starved: /metrics alone hangs. ill: /health says that it can't work. */
type Condition = "well" | "refuses" | "hangs" | "busy" | "starved" | "ill"

export interface Look {
  readonly path: string
  readonly atMs: number
}

const metrics: PodMetrics = {
  running: 0,
  waiting: 0,
  kvUsage: 0,
  blockSizeTokens: 16,
  gpuBlocks: 1000,
  processStartS: 1_700_000_000,
  promptTokensTotal: 0,
  generationTokensTotal: 0,
  awake: true
}

/** A pod under the eyes of its actor, in virtual time from 0. */
export class WatchedPod {
  condition: Condition = "well"
  readonly looks: Array<Look> = []
  readonly away = new AwayPods()
  readonly time: VirtualTime
  private handle!: PodHandle
  private inbox!: SchedulerInbox
  private readonly address = podAddress("10.0.0.7", 8000, false)

  private constructor(seed: number) {
    this.time = new VirtualTime(0, seed)
  }

  /** Healthy, after its first looks. */
  static async start(options: PodActorOptions, seed = 1, condition: Condition = "well"): Promise<WatchedPod> {
    const pod = new WatchedPod(seed)
    pod.condition = condition
    void pod.time.start(Effect.scoped(pod.watch(options)), () => {})
    await pod.time.quiet()
    if (condition === "well") await pod.until(() => pod.health === "healthy")
    return pod
  }

  get health(): string {
    return this.handle.status().health
  }

  get timesWell(): number {
    return this.handle.signs().timesWell
  }

  get reason(): string | undefined {
    return this.handle.status().reason
  }

  get accepting(): boolean {
    return this.inbox.accepting(this.address.id)
  }

  /** Gets only what no other pod can take. */
  get strained(): boolean {
    const last = this.inbox.messages.findLast((message) => message._tag === "PodObserved")
    return last?._tag === "PodObserved" && last.strained === true
  }

  /** Lets time pass while bytes of its answers to requests come, as a sweep of the front's sees them. */
  async passAnswering(ms: number): Promise<void> {
    for (let passedMs = 0; passedMs < ms; passedMs += 100) {
      if (this.handle.signs().isInDoubt) this.handle.ref.unsafeTell({ _tag: "RequestsAnswered" })
      await this.pass(100)
    }
  }

  /** Lets time pass until the condition holds; gives the milliseconds that it took. */
  async until(holds: () => boolean, withinMs = 60_000): Promise<number> {
    const startMs = this.time.nowMs
    while (!holds()) {
      if (!(await this.time.step(startMs + withinMs))) throw new Error(`did not come within ${withinMs} ms`)
    }
    return this.time.nowMs - startMs
  }

  async pass(ms: number): Promise<void> {
    const endMs = this.time.nowMs + ms
    while (await this.time.step(endMs));
  }

  looksAt(path: string): ReadonlyArray<number> {
    return this.looks.filter((look) => look.path === path).map(({ atMs }) => atMs)
  }

  private watch(options: PodActorOptions) {
    return Effect.gen(this, function*() {
      this.inbox = yield* schedulerInbox()
      this.handle = yield* makePodActor({
        address: this.address,
        constants,
        probe: this.probe,
        scheduler: this.inbox.ref,
        restored: undefined,
        onIdle: Effect.void,
        away: this.away,
        options
      })
      yield* Effect.never
    })
  }

  private readonly probe: PodProbe = {
    metrics: (_, timeoutMs) => this.answer("/metrics", timeoutMs, () => metrics),
    health: (_, timeoutMs) => this.answer("/health", timeoutMs, () => this.condition !== "ill"),
    models: (_, timeoutMs) => this.answer("/v1/models", timeoutMs, () => [{ id: "qwen" }]),
    version: (_, timeoutMs) => this.answer("/version", timeoutMs, () => "0.32.0")
  }

  private async answer<A>(path: string, timeoutMs: number, value: () => A): Promise<A> {
    this.looks.push({ path, atMs: this.time.nowMs })
    const { condition } = this
    if (condition === "hangs" || condition === "busy" || (condition === "starved" && path === "/metrics")) {
      await this.time.sleep(timeoutMs)
      throw new PodProbeError({ what: path, why: `no whole answer within ${timeoutMs} ms`, isLate: true })
    }
    await this.time.sleep(1)
    if (condition === "refuses") {
      throw new PodProbeError({ what: path, why: "could not be asked: refused", isRefused: true })
    }
    return value()
  }
}
