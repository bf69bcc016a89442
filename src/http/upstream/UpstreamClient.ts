import { type PodAddress, podUrl } from "../../core/Pod.ts"
import { PodPool, type PodWatch } from "./PodPool.ts"
import { UpstreamCall } from "./UpstreamCall.ts"
import type { UpstreamOptions } from "./UpstreamOptions.ts"
import type { UpstreamHandler, UpstreamRequest } from "./UpstreamRequest.ts"

const nobody: PodWatch = { signsOf: () => undefined, hasOther: () => false, answers: () => {} }

/** Requests with their body up to this size leave in one write. */
const scratchBytes = 128 * 1024

/**
 * HTTP/1.1 client towards pods: callbacks instead of a promise or stream for each chunk, keep-alive by pod,
 * one second try when a kept socket turns out stale. Deadlines are checked by one timer for all sockets.
 */
export class UpstreamClient {
  private options: UpstreamOptions
  private readonly pools = new Map<string, PodPool>()
  private readonly scratch = Buffer.allocUnsafeSlow(scratchBytes)
  private readonly nowMs: () => number
  private readonly watch: PodWatch
  private timer: Timer | undefined

  /** `nowMs`: a clock that never goes back. */
  constructor(
    options: UpstreamOptions,
    watch: PodWatch = nobody,
    nowMs: () => number = () => performance.now()
  ) {
    this.watch = watch
    this.nowMs = nowMs
    this.options = options
  }

  /** The handler hears nothing before this returns, except through `abort`, `resume` or the event loop. */
  request(address: PodAddress, request: UpstreamRequest, handler: UpstreamHandler): UpstreamCall {
    // A reload can bring TLS to a pod; what runs without it goes on in a pool of its own.
    const key = address.tls ? podUrl(address) : address.id
    let pool = this.pools.get(key)
    if (pool === undefined) {
      pool = new PodPool(address, this.options, this.scratch, this.nowMs)
      this.pools.set(key, pool)
      this.timer ??= setInterval(() => this.sweep(), this.options.sweepMs).unref()
    }
    const call = new UpstreamCall(request, handler)
    pool.start(call)
    return call
  }

  /** Timeouts count for sockets that are open too, at their next step; limits as requests come and end. */
  replaceOptions(options: UpstreamOptions): void {
    this.options = options
    for (const pool of this.pools.values()) pool.options = options
  }

  /** Sockets in all, idle ones included. */
  counts(): { readonly open: number; readonly idle: number } {
    let open = 0
    let idle = 0
    for (const pool of this.pools.values()) {
      open += pool.openCount
      idle += pool.idleCount
    }
    return { open, idle }
  }

  close(): void {
    for (const pool of this.pools.values()) pool.closeAll()
    this.pools.clear()
    clearInterval(this.timer)
    this.timer = undefined
  }

  private sweep(): void {
    const nowMs = this.nowMs()
    for (const [id, pool] of this.pools) {
      pool.sweep(nowMs, this.watch)
      // Pods come and go; a pool without sockets knows nothing worth keeping.
      if (pool.openCount === 0) this.pools.delete(id)
    }
    if (this.pools.size > 0) return
    clearInterval(this.timer)
    this.timer = undefined
  }
}
