import { randomUUID } from "node:crypto"
import { constants, lstat, mkdir, open, readdir, stat, unlink } from "node:fs/promises"
import type { FileHandle } from "node:fs/promises"
import { join } from "node:path"

/** A file has its name only between its making and its first byte; one that is older was left by a crash. */
const leftOverAfterMs = 60_000
/** A full disk fails every upload, and one line tells it. */
const complainEveryMs = 60_000
const onlyOwner = 0o700
const forOthers = 0o077

/** Where request bodies lie that are too large for memory. Gateways of one user share it; nobody else may look in. */
export class SpoolFolder {
  readonly path: string
  private isReady = false
  private complainedMs = Number.NEGATIVE_INFINITY

  /** `parent` must exist. */
  constructor(parent: string) {
    this.path = join(parent, `warmroute-spool-${process.getuid?.() ?? 0}`)
  }

  /** A new file without a name, which is gone with its handle. Rejects with an error of the file system. */
  async file(): Promise<FileHandle> {
    await this.prepare()
    const path = join(this.path, randomUUID())
    const { O_CREAT, O_EXCL, O_RDWR } = constants
    const handle = await open(path, O_RDWR | O_CREAT | O_EXCL, 0o600)
    try {
      await unlink(path)
    } catch (cause) {
      await handle.close()
      throw cause
    }
    return handle
  }

  /** Says what the disk did to a body, once a minute at most. */
  complain(cause: unknown, log: (message: string) => void): void {
    const nowMs = performance.now()
    if (nowMs - this.complainedMs < complainEveryMs) return
    this.complainedMs = nowMs
    const why = cause instanceof Error ? cause.message : String(cause)
    log(
      `a request's body could not be kept in ${this.path}: ${why}; such requests get 503 spool_failed until there is room, `
        + `TMPDIR says where (the next such line in ${complainEveryMs / 1000} s at the earliest)`
    )
  }

  /** Removes what a crash may have left. A folder that is not there, or not ours, is left alone. */
  async clean(): Promise<void> {
    const names = await readdir(this.path).catch(() => [])
    for (const name of names) {
      const path = join(this.path, name)
      const facts = await stat(path).catch(() => undefined)
      if (facts !== undefined && Date.now() - facts.mtimeMs > leftOverAfterMs) await unlink(path).catch(() => {})
    }
  }

  private async prepare(): Promise<void> {
    if (this.isReady) return
    await mkdir(this.path, onlyOwner).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== "EEXIST") throw cause
    })
    const facts = await lstat(this.path)
    const isOurs = facts.isDirectory() && (process.getuid === undefined || facts.uid === process.getuid())
    if (!isOurs || (facts.mode & forOthers) !== 0) throw new Error(`${this.path} is not a private folder of this user`)
    this.isReady = true
  }
}
