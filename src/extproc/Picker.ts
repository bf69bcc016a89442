import type { ExtProcDeps } from "./ExtProcOptions.ts"
import { FrameWriter } from "./wire/FrameWriter.ts"

/** What all requests of the picker share. */
export class Picker {
  /** Replaced as a whole by a reload, never written into. */
  deps: ExtProcDeps
  readonly writer = new FrameWriter()
  /** Set when the server has been told to stop: not ready any more, but still answering. */
  draining = false
  private open = 0

  constructor(deps: ExtProcDeps) {
    this.deps = deps
  }

  get openRequests(): number {
    return this.open
  }

  /** Each is followed by one `left`. */
  entered(): void {
    this.open++
  }

  left(): void {
    this.open--
  }
}
