import type { SeededRandom } from "../../src/simulator/SeededRandom.ts"
import type { FaultyFleet } from "./FaultyFleet.ts"
import { type FaultyPod, troubles } from "./FaultyPod.ts"
import type { VirtualTime } from "./VirtualTime.ts"

interface TroubleDeps {
  readonly fleet: FaultyFleet
  readonly time: VirtualTime
  readonly everyS: number
  readonly random: SeededRandom
  /** False once all is to be well. */
  readonly isOn: () => boolean
  readonly onHappened: (what: string, whom: string) => void
  readonly onRestart: (whom: string) => void
}

/** What befalls pods, and passes. */
export class PodTroubles {
  private readonly deps: TroubleDeps

  constructor(deps: TroubleDeps) {
    this.deps = deps
  }

  /** Now and then, for as long as it is on. */
  start(): void {
    const { everyS, fleet, isOn, onHappened, random, time } = this.deps
    time.after(1000 * random.exponential(everyS), () => {
      if (!isOn()) return
      const pod = fleet.pods[random.below(fleet.pods.length)]!
      const lastsMs = 1000 * random.exponential(6)
      const chance = random.uniform()
      if (chance < 0.02) this.outage(1 + random.below(3))
      else if (chance < 0.4) this.kill(pod, lastsMs)
      else {
        const trouble = troubles[random.below(troubles.length)]!
        onHappened(trouble, pod.address.id)
        pod.setTrouble(trouble)
        time.after(lastsMs, () => {
          if (isOn() && pod.trouble === trouble) pod.setTrouble("none")
        })
      }
      this.start()
    })
  }

  /** A pod's metrics are not vLLM's for a while. */
  makeUnreadable(random: SeededRandom): void {
    const { fleet, isOn, time } = this.deps
    const pod = fleet.pods[random.below(fleet.pods.length)]!
    if (!isOn() || pod.trouble !== "none") return
    pod.setTrouble("garbage-metrics")
    time.after(random.between(2000, 15_000), () => {
      if (isOn() && pod.trouble === "garbage-metrics") pod.setTrouble("none")
    })
  }

  /** All pods are gone, and back, and so on. */
  private outage(times: number): void {
    const { fleet, isOn, onHappened, random, time } = this.deps
    if (!isOn()) return
    onHappened("outage", "")
    for (const pod of fleet.pods) this.kill(pod, random.between(500, 3000))
    if (times > 1) time.after(random.between(4000, 9000), () => this.outage(times - 1))
  }

  private kill(pod: FaultyPod, lastsMs: number): void {
    const { onHappened, onRestart, time } = this.deps
    if (!pod.alive) return
    onHappened("kill", pod.address.id)
    pod.kill()
    time.after(500 + lastsMs, () => {
      onRestart(pod.address.id)
      pod.restart()
    })
  }
}
