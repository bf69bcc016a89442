import { Overloaded } from "../../errors.ts"

/** The bytes of request bodies that the gateway holds at one time, over all requests. */
export class RequestBytes {
  private readonly code: "request_memory_full" | "request_disk_full"
  private readonly bytesMax: () => number
  private readonly retryAfterS: () => number
  private held = 0

  /**
   * `bytesMax` may change; what is held stays, beyond a smaller bound too. `retryAfterS`: when a request that finds no
   * room may come again.
   */
  constructor(code: "request_memory_full" | "request_disk_full", bytesMax: () => number, retryAfterS: () => number) {
    this.code = code
    this.bytesMax = bytesMax
    this.retryAfterS = retryAfterS
  }

  get heldBytes(): number {
    return this.held
  }

  /** Throws Overloaded, and then nothing was taken. */
  take(bytes: number): void {
    const bytesMax = this.bytesMax()
    if (this.held + bytes > bytesMax) {
      const message = `the bodies of the open requests already fill ${this.held} of ${bytesMax} bytes`
      throw new Overloaded(this.code, message, this.retryAfterS())
    }
    this.held += bytes
  }

  give(bytes: number): void {
    this.held -= bytes
  }
}

/** One request's share of them. */
export class HeldBytes {
  private readonly all: RequestBytes
  private bytes = 0

  constructor(all: RequestBytes) {
    this.all = all
  }

  /** Throws Overloaded. */
  take(bytes: number): void {
    this.all.take(bytes)
    this.bytes += bytes
  }

  /** Gives back all; harmless when repeated. */
  release(): void {
    this.all.give(this.bytes)
    this.bytes = 0
  }
}
