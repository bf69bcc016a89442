import type { PodSigns } from "../../../actors/PoolView.ts"
import type { PodAddress, PodId } from "../../core/Pod.ts"
import type { UpstreamCall } from "./UpstreamCall.ts"
import { UpstreamConnection } from "./UpstreamConnection.ts"
import type { UpstreamOptions } from "./UpstreamOptions.ts"

/** Who looks after the pods. */
export interface PodWatch {
  /** Asked at each sweep; undefined when nobody watches the pod. */
  readonly signsOf: (id: PodId) => PodSigns | undefined
  /** Another pod could take its requests. */
  readonly hasOther: (id: PodId) => boolean
  /** A pod that is in doubt sent bytes of answers since the last sweep. */
  readonly answers: (id: PodId) => void
}

/** The sockets to one pod. Idle ones are a stack, so that in quiet times the spare ones age out. */
export class PodPool {
  readonly address: PodAddress
  options: UpstreamOptions
  /** For the bytes of a request on their way to the socket; shared by all pools, valid within one call. */
  readonly scratch: Buffer
  readonly nowMs: () => number

  /** Bytes of an answer came since the last sweep. */
  heard = false
  /** What came while nobody read may be heard only now. */
  resumed = false

  private readonly connections = new Set<UpstreamConnection>()
  private readonly idle: Array<UpstreamConnection> = []
  private readonly hostHeader: string
  private isClosed = false
  /** The last sign of life: a byte of an answer, or a question about itself that it answered well. */
  private livedAtMs = -Infinity
  private timesWell = -1

  constructor(address: PodAddress, options: UpstreamOptions, scratch: Buffer, nowMs: () => number) {
    this.address = address
    this.options = options
    this.hostHeader = `host: ${address.id}\r\n`
    this.scratch = scratch
    this.nowMs = nowMs
  }

  /** The lines that every request to this pod begins with. */
  get ownHeaders(): string {
    const token = this.options.access?.tokenFor(this.address.id)
    return token === undefined ? this.hostHeader : `${this.hostHeader}authorization: Bearer ${token}\r\n`
  }

  get openCount(): number {
    return this.connections.size
  }

  get idleCount(): number {
    return this.idle.length
  }

  /** Sends over an idle socket or a new one. */
  start(call: UpstreamCall): void {
    if (call.request?.isRepeatable === false) return this.startFresh(call)
    const nowMs = this.nowMs()
    for (let connection = this.idle.pop(); connection !== undefined; connection = this.idle.pop()) {
      if (nowMs - connection.idleSinceMs < this.options.idleMaxMs) return connection.begin(call, nowMs)
      connection.close()
    }
    this.startFresh(call)
  }

  /** Sends over a new socket: no idle one is trusted. */
  startFresh(call: UpstreamCall): void {
    if (this.connections.size >= this.options.connectionsMax) this.idle[0]?.close()
    if (this.connections.size >= this.options.connectionsMax) {
      const message = `all ${this.options.connectionsMax} connections to the pod are in use`
      return queueMicrotask(() => call.fail("exhausted", message, false))
    }
    const connection = new UpstreamConnection(this)
    this.connections.add(connection)
    connection.connect(call, this.nowMs())
  }

  release(connection: UpstreamConnection): void {
    if (this.isClosed || this.idle.length >= this.options.idleMax) return connection.close()
    connection.idleSinceMs = this.nowMs()
    this.idle.push(connection)
  }

  forget(connection: UpstreamConnection): void {
    this.connections.delete(connection)
    const at = this.idle.indexOf(connection)
    if (at >= 0) this.idle.splice(at, 1)
  }

  sweep(nowMs: number, watch: PodWatch): void {
    while (nowMs - (this.idle[0]?.idleSinceMs ?? nowMs) >= this.options.idleMaxMs) this.idle[0]?.close()
    for (const connection of this.connections) connection.sweep(nowMs)
    const { heard } = this
    if (heard || this.resumed) this.livedAtMs = nowMs
    this.heard = false
    this.resumed = false
    const signs = watch.signsOf(this.address.id)
    if (signs === undefined) return
    if (heard && signs.isInDoubt) watch.answers(this.address.id)
    if (signs.timesWell !== this.timesWell) this.livedAtMs = nowMs
    this.timesWell = signs.timesWell
    // Bytes on any of its sockets say that the pod is only too busy for questions.
    if (signs.isUnhealthy && this.isLost(nowMs - this.livedAtMs, watch)) {
      for (const connection of this.connections) connection.lose()
    }
  }

  private isLost(silentMs: number, watch: PodWatch): boolean {
    const { lonePodGraceMs, lostPodGraceMs } = this.options
    return silentMs >= lonePodGraceMs || (silentMs >= lostPodGraceMs && watch.hasOther(this.address.id))
  }

  /** Busy sockets break off, their calls fail. */
  closeAll(): void {
    this.isClosed = true
    // Destroying one takes it out of the set, which a running iteration of a Set allows.
    for (const connection of this.connections) {
      const call = connection.call
      connection.destroy()
      call?.fail("broken", "the gateway is closing", false)
    }
  }
}
