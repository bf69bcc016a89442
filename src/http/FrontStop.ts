import type { ClientListener } from "./doors/ClientListener.ts"
import type { Front } from "./Front.ts"

/** Requests that a stop did not wait for. */
export interface StoppedRequests {
  /** They had an error of ours for their end. */
  readonly ended: number
  /** Their clients did not take what there was for them. */
  readonly broken: number
}

const nothingLeft: StoppedRequests = { ended: 0, broken: 0 }

const pollMs = 5

/** So long clients have to take the error that ended their request. */
const flushMs = 1_000

/** The one way in which a front stops, however often it is told to. */
export class FrontStop {
  private readonly front: Front
  private readonly listener: ClientListener
  private deadlineMs = Infinity
  private stopped: Promise<StoppedRequests> | undefined

  constructor(front: Front, listener: ClientListener) {
    this.front = front
    this.listener = listener
  }

  /** The first call tells what was left. */
  async within(graceMs: number): Promise<StoppedRequests> {
    this.deadlineMs = Math.min(this.deadlineMs, performance.now() + graceMs)
    if (this.stopped === undefined) return this.stopped = this.stop()
    await this.stopped
    return nothingLeft
  }

  private async stop(): Promise<StoppedRequests> {
    const { front, listener } = this
    front.draining = true
    listener.stop(false).catch(() => {})
    await this.sent(() => this.deadlineMs)
    const ended = front.endOpenRequests()
    const flushedByMs = performance.now() + flushMs
    await this.sent(() => flushedByMs)
    const broken = listener.pendingRequests()
    await listener.stop(true)
    front.client.close()
    return { ended, broken }
  }

  /** Bun counts a request until the last byte is with the kernel, which our own count can't see. */
  private async sent(deadlineMs: () => number): Promise<void> {
    while (this.listener.pendingRequests() > 0 && performance.now() < deadlineMs()) await Bun.sleep(pollMs)
  }
}
