import type { Scheduler } from "../core/Scheduler.ts"
import type { PodReading, SimulatedPod } from "./SimulatedPod.ts"

/** Scrapes or requests in a row that fail before a pod gets no more: the gateway's default. */
const FAILURES_BEFORE_UNHEALTHY = 3

/** A scrape on its way to the schedulers; without numbers it failed. */
interface Scrape {
  readonly life: number
  readonly reading: PodReading | undefined
}

/**
 * What a gateway's pod actor does, in short: scrapes become observations, a pod that fails three times in a row is
 * sent nothing until a scrape is good again, and one whose process is another than before has lost its cache.
 * All gateways scrape at the same moments.
 */
export class PodWatch {
  private readonly schedulers: ReadonlyArray<Scheduler>
  private readonly pod: SimulatedPod<unknown>
  private readonly underWay: Array<Scrape> = []
  private knownLife = 0
  /** By gateway. */
  private readonly failures: Array<number>

  constructor(schedulers: ReadonlyArray<Scheduler>, pod: SimulatedPod<unknown>) {
    this.schedulers = schedulers
    this.pod = pod
    this.failures = schedulers.map(() => 0)
  }

  /** Reads the pod's metrics as they are now. */
  scrape(nowS: number): void {
    const { pod } = this
    this.underWay.push({ life: pod.life, reading: pod.alive ? pod.read(nowS) : undefined })
  }

  /** The oldest scrape under way reaches the gateways. */
  arrive(nowS: number): void {
    const { life, reading } = this.underWay.shift()!
    if (reading === undefined) return this.schedulers.forEach((_, gateway) => this.failed(gateway, nowS))
    const { id } = this.pod.address
    for (const [gateway, scheduler] of this.schedulers.entries()) {
      if (life !== this.knownLife) scheduler.restarted(id)
      this.failures[gateway] = 0
      scheduler.observe(id, true, reading.running, reading.waiting, reading.kvUsage, nowS)
    }
    this.knownLife = life
  }

  /** A scrape, or a request that the gateway sent there, failed. */
  failed(gateway: number, nowS: number): void {
    const failures = ++this.failures[gateway]!
    if (failures === FAILURES_BEFORE_UNHEALTHY) {
      this.schedulers[gateway]!.observe(this.pod.address.id, false, 0, 0, 0, nowS)
    }
  }
}
