import { withHarmlessEars } from "../http/harmlessEars.ts"
import type { ExtProcDeps } from "./ExtProcOptions.ts"
import { FrameWriter } from "./wire/FrameWriter.ts"

/** A request as the picker that is told to stop sees it. */
interface OpenRequest {
  readonly endForStop: () => void
}

/** What all requests of the picker share. */
export class Picker {
  /** Replaced as a whole by a reload, never written into. */
  deps: ExtProcDeps
  readonly writer = new FrameWriter()
  /** Set when the server has been told to stop: not ready any more, but still answering. */
  draining = false
  private readonly open = new Set<OpenRequest>()

  constructor(deps: ExtProcDeps) {
    this.deps = withHarmlessEars(deps)
  }

  get openRequests(): number {
    return this.open.size
  }

  /** Each is followed by one `left`. */
  entered(request: OpenRequest): void {
    this.open.add(request)
  }

  left(request: OpenRequest): void {
    this.open.delete(request)
  }

  /** Ends every open call in good order; those without a pod get 503. Returns how many there were. */
  endOpenRequests(): number {
    const ended = this.open.size
    for (const request of this.open) request.endForStop()
    return ended
  }
}
