import { breakOff } from "./answerBody.ts"

/** Whoever feeds the stream. */
export interface StreamFeeder {
  /** The client reads slower than the pod writes; `resume` follows. */
  readonly pause: () => void
  readonly resume: () => void
  readonly clientGone: () => void
  /** The client did not take what waited for it in time; its connection has been broken. */
  readonly clientStalled: () => void
}

/** The body of a streamed answer on its way to the client, with what came before Bun asked for it. */
export class ClientStream implements Bun.DirectUnderlyingSource {
  readonly type = "direct"
  private readonly feeder: StreamFeeder
  private readonly stallTimeoutMs: number
  private waiting: Array<Uint8Array> | undefined
  private controller: ReadableStreamDirectController | undefined
  private sending: PromiseWithResolvers<void> | undefined
  /** What Bun resolves when the client has taken what waits for it. */
  private held: Promise<number> | undefined
  private ended: "no" | "well" | "broken" = "no"
  /** Runs from the time that bytes wait for the client until all of them are on their way. */
  private stallTimer: Timer | undefined

  /** `stallTimeoutMs`: so long a client may take for what waits for it, which is what one read of its pod brought. */
  constructor(feeder: StreamFeeder, firstPieces: Array<Uint8Array>, stallTimeoutMs: number) {
    this.feeder = feeder
    this.waiting = firstPieces
    this.stallTimeoutMs = stallTimeoutMs
  }

  /** The client has not taken yet what waits for it. */
  get isHeld(): boolean {
    return this.held !== undefined
  }

  write(bytes: Uint8Array): void {
    const { controller } = this
    if (controller === undefined) return void this.waiting?.push(bytes)
    const wrote = controller.write(bytes)
    if (typeof wrote !== "number") this.holdUntil(wrote)
  }

  end(): void {
    if (this.ended !== "no") return
    this.ended = "well"
    this.stopWatch()
    if (this.controller !== undefined) this.finish(this.controller)
  }

  /** Resets the client's connection, so that nobody takes what was sent for the whole. */
  break(): void {
    if (this.ended !== "no") return
    this.ended = "broken"
    this.stopWatch()
    this.sending?.reject(breakOff)
  }

  /** Bun asks for the body: the answer's head is on its way to the client. */
  pull(controller: ReadableStreamDirectController): Promise<void> {
    if (this.ended === "broken") return Promise.reject(breakOff)
    this.controller = controller
    this.sending = Promise.withResolvers()
    const waiting = this.waiting ?? []
    this.waiting = undefined
    for (const bytes of waiting) this.write(bytes)
    if (this.ended === "well") this.finish(controller)
    return this.sending.promise
  }

  cancel(): void {
    this.stopWatch()
    this.held = undefined
    this.feeder.clientGone()
  }

  /**
   * From here on the connection's own idle timeout watches over what still waits. Bun takes a stream that is closed for
   * one that is sent, and a stop of the gateway would then cut it.
   */
  private finish(controller: ReadableStreamDirectController): void {
    if (this.held !== undefined) return
    controller.close()
    this.sending?.resolve()
  }

  private holdUntil(drained: Promise<number>): void {
    if (this.held === drained) return
    this.held = drained
    this.feeder.pause()
    if (this.ended === "no") this.stallTimer ??= setTimeout(() => this.stalled(), this.stallTimeoutMs)
    const resume = () => this.resume(drained)
    drained.then(resume, resume)
  }

  private resume(drained: Promise<number>): void {
    if (this.held !== drained) return
    this.held = undefined
    this.stopWatch()
    if (this.ended === "well" && this.controller !== undefined) this.finish(this.controller)
    else this.feeder.resume()
  }

  private stopWatch(): void {
    clearTimeout(this.stallTimer)
    this.stallTimer = undefined
  }

  private stalled(): void {
    this.break()
    this.feeder.clientStalled()
  }
}
