import type { PodId } from "../../src/core/Pod.ts"
import { type PodProbe, PodProbeError } from "../../src/vllm/PodProbe.ts"
import type { SeededRandom } from "../../src/simulator/SeededRandom.ts"
import type { Call, Caller, FaultyPod } from "./FaultyPod.ts"
import type { VirtualTime } from "./VirtualTime.ts"
import type { WorldRequest } from "./WorldRequest.ts"

/** The pods there are, whether or not discovery knows of them. */
export class FaultyFleet {
  readonly pods: ReadonlyArray<FaultyPod>
  private readonly byId: ReadonlyMap<PodId, FaultyPod>
  private readonly time: VirtualTime
  private readonly random: SeededRandom

  constructor(pods: ReadonlyArray<FaultyPod>, time: VirtualTime, random: SeededRandom) {
    this.pods = pods
    this.byId = new Map(pods.map((pod) => [pod.address.id, pod]))
    this.time = time
    this.random = random
  }

  podOf(id: PodId): FaultyPod {
    const pod = this.byId.get(id)
    if (pod === undefined) throw new Error(`there is no pod ${id}`)
    return pod
  }

  /** `said`: output tokens that the request brings along, since another pod said them. */
  send(id: PodId, request: WorldRequest, said: number, caller: Caller): Call {
    const pod = this.podOf(id)
    const call: Call = { pod, caller, request, said, isOpen: true, hasToken: false, sent: said, held: [] }
    pod.take(call)
    return call
  }

  /** Answers what pod actors ask, as the pods are when the question reaches them. */
  readonly probe: PodProbe = {
    metrics: (address, timeoutMs) =>
      this.ask(address.id, "/metrics", timeoutMs, (pod) => {
        if (pod.trouble === "garbage-metrics") {
          throw new PodProbeError({ what: "/metrics", why: "the page is not vLLM's" })
        }
        return pod.metrics()
      }),
    models: (address, timeoutMs) =>
      this.ask(
        address.id,
        "/v1/models",
        timeoutMs,
        (pod) => pod.models.map((id) => ({ id, max_model_len: pod.kvCapacityTokens }))
      ),
    health: (address, timeoutMs) => this.ask(address.id, "/health", timeoutMs, (pod) => pod.trouble !== "engine-dead"),
    version: (address, timeoutMs) => this.ask(address.id, "/version", timeoutMs, () => "0.24.0")
  }

  private async ask<A>(id: PodId, what: string, timeoutMs: number, read: (pod: FaultyPod) => A): Promise<A> {
    const pod = this.podOf(id)
    const isSlow = what === "/metrics" && pod.trouble === "slow-scrapes"
    const slowMs = isSlow ? this.random.between(0, 2 * timeoutMs) : 0
    const delayMs = this.random.between(0.5, 3) + (pod.trouble === "busy" ? timeoutMs : slowMs)
    await this.time.sleep(Math.min(delayMs, timeoutMs))
    if (!pod.alive) {
      throw new PodProbeError({ what, why: "could not be asked: connection refused", isRefused: true })
    }
    const late = (): PodProbeError =>
      new PodProbeError({ what, why: `no whole answer within ${timeoutMs} ms`, isLate: true })
    if (delayMs > timeoutMs) throw late()
    if (pod.deafSinceMs !== undefined) {
      const isPaused = pod.trouble === "paused"
      const overdue = this.time.sleep(timeoutMs - delayMs)
      // Who asked a process that stood still hears from it when it goes on, unless that is too late.
      await (isPaused ? Promise.race([overdue, pod.whenGoesOn()]) : overdue)
      if (!isPaused || pod.deafSinceMs !== undefined) throw late()
      await this.time.sleep(1)
    }
    const answer = read(pod)
    await this.time.sleep(1)
    return answer
  }
}
