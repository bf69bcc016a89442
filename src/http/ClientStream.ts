import { breakOff } from "./answerBody.ts"

/** Whoever feeds the stream. */
export interface StreamFeeder {
  /** The client reads slower than the pod writes; `resume` follows. */
  readonly pause: () => void
  readonly resume: () => void
  readonly clientGone: () => void
}

/** The body of a streamed answer on its way to the client, with what came before Bun asked for it. */
export class ClientStream implements Bun.DirectUnderlyingSource {
  readonly type = "direct"
  private readonly feeder: StreamFeeder
  private waiting: Array<Uint8Array> | undefined
  private controller: ReadableStreamDirectController | undefined
  private sending: PromiseWithResolvers<void> | undefined
  private ended: "no" | "well" | "broken" = "no"

  constructor(feeder: StreamFeeder, firstPieces: Array<Uint8Array>) {
    this.feeder = feeder
    this.waiting = firstPieces
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
    if (this.controller !== undefined) this.finish(this.controller)
  }

  /** Resets the client's connection, so that nobody takes what was sent for the whole. */
  break(): void {
    if (this.ended !== "no") return
    this.ended = "broken"
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
    this.feeder.clientGone()
  }

  private finish(controller: ReadableStreamDirectController): void {
    controller.close()
    this.sending?.resolve()
  }

  private holdUntil(drained: Promise<number>): void {
    const { feeder } = this
    feeder.pause()
    const resume = () => feeder.resume()
    drained.then(resume, resume)
  }
}
