import { Database } from "bun:sqlite"
import { faultOf, SnapshotFault } from "./snapshotFault.ts"

/**
 * A lock that its process holds until it lets go or is gone, however it went, since the system keeps it: SQLite's own lock
 * of an empty database. The file stays behind and says nothing.
 */
export class FileLock {
  private readonly path: string
  private held: Database | undefined

  constructor(path: string) {
    this.path = path
  }

  /** Whether it is ours now; does not wait. Throws SnapshotFault when it can't be known. */
  take(): boolean {
    if (this.held !== undefined) return true
    let database: Database | undefined
    try {
      database = new Database(this.path, { create: true, readwrite: true })
      database.run("BEGIN EXCLUSIVE")
      this.held = database
      return true
    } catch (cause) {
      database?.close()
      if (String((cause as { code?: unknown }).code).startsWith("SQLITE_BUSY")) return false
      throw new SnapshotFault(`can't be locked by ${this.path}, since that ${faultOf(cause).message}`)
    }
  }

  release(): void {
    this.held?.close()
    this.held = undefined
  }
}
