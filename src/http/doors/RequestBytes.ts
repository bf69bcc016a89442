import { Overloaded } from "../../errors.ts"

/** The bytes of request bodies that the gateway holds at one time, over all requests. */
export class RequestBytes {
  private readonly bytesMax: () => number
  private held = 0

  /** `bytesMax` may change; what is held stays, beyond a smaller bound too. */
  constructor(bytesMax: () => number) {
    this.bytesMax = bytesMax
  }

  get heldBytes(): number {
    return this.held
  }

  /** Throws Overloaded, and then nothing was taken. */
  take(bytes: number): void {
    const bytesMax = this.bytesMax()
    if (this.held + bytes > bytesMax) {
      const message = `the bodies of the open requests already fill ${this.held} of ${bytesMax} bytes`
      throw new Overloaded({ message, retryAfterS: 1 })
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
