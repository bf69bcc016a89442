import type { FileHandle } from "node:fs/promises"
import type { PiecedBody } from "../upstream/UpstreamRequest.ts"
import type { SpoolFolder } from "./SpoolFolder.ts"

/** Bytes to send in the place of others of the file. */
interface Patch {
  readonly start: number
  readonly end: number
  readonly bytes: Uint8Array
}

/** One request's body in a file. */
export class SpooledBody implements PiecedBody {
  private handle: FileHandle | undefined
  private fileBytes = 0
  private patch: Patch = { start: 0, end: 0, bytes: new Uint8Array(0) }
  private busy = 0
  private isReleased = false

  /** Rejects with an error of the file system. */
  async open(folder: SpoolFolder): Promise<void> {
    this.busy++
    try {
      this.handle = await folder.file()
    } finally {
      this.idle()
    }
  }

  /** Rejects with an error of the file system, or when it has been released. */
  append(bytes: Uint8Array): Promise<void> {
    return this.use(async (handle) => {
      let done = 0
      while (done < bytes.length) {
        const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, this.fileBytes + done)
        done += bytesWritten
      }
      this.fileBytes += done
    })
  }

  /** What is sent has these bytes instead of those from `start` to `end`. */
  replace(start: number, end: number, bytes: Uint8Array): void {
    this.patch = { start, end, bytes }
  }

  get byteLength(): number {
    const { bytes, end, start } = this.patch
    return this.fileBytes - (end - start) + bytes.length
  }

  /** Rejects as `append` does. */
  read(at: number, into: Uint8Array): Promise<number> {
    const { bytes, end, start } = this.patch
    const behind = start + bytes.length
    if (at >= start && at < behind) {
      const piece = bytes.subarray(at - start, at - start + into.length)
      into.set(piece)
      return Promise.resolve(piece.length)
    }
    const room = at < start ? Math.min(into.length, start - at) : into.length
    return this.use(async (handle) => {
      const { bytesRead } = await handle.read(into, 0, room, at < start ? at : at - behind + end)
      return bytesRead
    })
  }

  /** Gives the disk back, after what is under way; harmless when repeated. */
  release(): void {
    if (this.isReleased) return
    this.isReleased = true
    this.busy++
    this.idle()
  }

  private async use<A>(run: (handle: FileHandle) => Promise<A>): Promise<A> {
    const { handle } = this
    if (handle === undefined || this.isReleased) throw new Error("the spooled body has been given back")
    this.busy++
    try {
      return await run(handle)
    } finally {
      this.idle()
    }
  }

  /** A descriptor that is closed while it is in use might be another file's already. */
  private idle(): void {
    this.busy--
    if (!this.isReleased || this.busy > 0) return
    this.handle?.close().catch(() => {})
    this.handle = undefined
  }
}
