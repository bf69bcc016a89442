import type { SnapshotFileOptions } from "./SnapshotFile.ts"
import type { SnapshotReply, SnapshotRequest } from "./snapshotMessages.ts"

/** Bun's worker can stop holding the process alive; the DOM's type doesn't know. */
type BunWorker = Worker & { readonly ref: () => void; readonly unref: () => void }

interface Thread {
  readonly worker: BunWorker
  /** Ends the request under way; there is at most one. */
  settle: ((reply: SnapshotReply) => void) | undefined
}

const failed = (fault: string): SnapshotReply => ({ blobs: undefined, fault, warnings: [] })

/**
 * The snapshot file behind a thread, since SQLite's calls block: one of 3 MB stalls streams for 29-140 ms.
 * A thread that dies or gives no reply in time fails the request in hand; the next request starts a new one.
 */
export class ThreadedSnapshotFile {
  private readonly options: SnapshotFileOptions
  private readonly replyTimeoutMs: number
  private thread: Thread | undefined

  constructor(options: SnapshotFileOptions, replyTimeoutMs: number) {
    this.options = options
    this.replyTimeoutMs = replyTimeoutMs
  }

  /** The caller waits for one request before it sends the next. The blobs of a save are gone after it. Never rejects. */
  ask(request: SnapshotRequest): Promise<SnapshotReply> {
    let thread: Thread
    try {
      thread = this.started()
    } catch (cause) {
      return Promise.resolve(failed(`its thread can't start: ${String(cause)}`))
    }
    return new Promise((resolve) => {
      const { worker } = thread
      const timer = setTimeout(
        () => this.lose(thread, `its thread gave no reply within ${this.replyTimeoutMs} ms`),
        this.replyTimeoutMs
      )
      thread.settle = (reply) => {
        thread.settle = undefined
        clearTimeout(timer)
        worker.unref()
        resolve(reply)
      }
      worker.ref()
      worker.postMessage(request, request._tag === "save" ? request.pods.map(({ body }) => body.buffer) : [])
    })
  }

  /** Folds the log into the file and ends the thread. */
  async close(): Promise<void> {
    if (this.thread === undefined) return
    await this.ask({ _tag: "close" })
    if (this.thread !== undefined) this.lose(this.thread, "its thread was stopped")
  }

  private started(): Thread {
    if (this.thread !== undefined) return this.thread
    // A compiled binary needs this file as an entry of its own: `--entry-naming=[name].[ext]`.
    const worker = new Worker(new URL("./snapshotThread.ts", import.meta.url)) as BunWorker
    const thread: Thread = { worker, settle: undefined }
    worker.unref()
    worker.addEventListener("message", ({ data }: MessageEvent<SnapshotReply>) => thread.settle?.(data))
    worker.addEventListener("error", (event) => this.lose(thread, `its thread failed: ${event.message}`))
    worker.addEventListener("close", () => this.lose(thread, "its thread ended"))
    worker.postMessage({ _tag: "open", options: this.options } satisfies SnapshotRequest)
    this.thread = thread
    return thread
  }

  private lose(thread: Thread, why: string): void {
    if (this.thread === thread) this.thread = undefined
    thread.worker.terminate()
    thread.settle?.(failed(why))
  }
}
