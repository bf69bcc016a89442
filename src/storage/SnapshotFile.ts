import { Database } from "bun:sqlite"
import { mkdirSync, statSync } from "node:fs"
import { dirname } from "node:path"
import { FileLock } from "./FileLock.ts"
import { Damaged, faultOf, isDamage, SnapshotFault } from "./snapshotFault.ts"
import { applicationId, type FileKind, fileKind, schemaVersion, setAside } from "./snapshotHeader.ts"

export interface SnapshotFileOptions {
  readonly path: string
  /** Larger blobs are not read. */
  readonly blobBytesMax: number
  /** Pods kept; those saved longest ago go first. */
  readonly podsMax: number
  /** The database file; beyond it a save fails as on a full disk. */
  readonly fileBytesMax: number
  /** How long a lock of another process is waited for. */
  readonly busyTimeoutMs: number
  /** Damaged files kept for a look at them. */
  readonly damagedKeptMax: number
}

/** One pod's record, packed; what is in it is nothing to the file. */
export interface PodBlob {
  readonly id: string
  readonly savedAtMs: number
  readonly body: Uint8Array<ArrayBuffer>
}

export interface SnapshotBlobs {
  /** Saved last comes first. */
  readonly pods: ReadonlyArray<PodBlob>
  readonly meta: Uint8Array<ArrayBuffer> | undefined
  /** Pods whose blob is not what was written. */
  readonly damagedIds: ReadonlyArray<string>
}

interface MetaRow {
  readonly checksum: number
  readonly body: Uint8Array<ArrayBuffer>
}

interface PodRow extends MetaRow {
  readonly id: string
  readonly savedAtMs: number
}

const pageBytes = 8192
const emptyBlobs: SnapshotBlobs = { pods: [], meta: undefined, damagedIds: [] }

const leftAlone: ReadonlyMap<FileKind, string> = new Map([
  ["not a file", "is not a plain file; choose another path"],
  ["foreign", "belongs to another program and is left alone; choose another path or move it away"],
  ["newer", "was written by a newer warmroute and is left alone; start that version or move the file away"]
])

const inUse = "is in use by another process, so this one saves nothing until that one has ended; " +
  "give each gateway a snapshot.path of its own"

/**
 * The snapshot on disk. Every call blocks, so it lives in a thread of its own. Whoever saves first is the only one that
 * saves, until it closes the file or is gone; others may read it.
 */
export class SnapshotFile {
  private readonly options: SnapshotFileOptions
  private database: Database | undefined
  /** Of the open file: somebody may remove or replace it under us. */
  private inode = -1
  private warnings: Array<string> = []
  private readonly lock: FileLock

  constructor(options: SnapshotFileOptions) {
    this.options = options
    this.lock = new FileLock(`${options.path}.lock`)
  }

  /** What happened since the last call that people should know, each a sentence about the file. */
  takeWarnings(): ReadonlyArray<string> {
    return this.warnings.splice(0)
  }

  /** Never throws: what can't be read is a warning and is not there. */
  load(): SnapshotBlobs {
    try {
      const blobs = this.guarded((database) => this.read(database), emptyBlobs)
      this.warnIfInUse()
      return blobs
    } catch (cause) {
      this.warnings.push(`${faultOf(cause).message}; starting cold`)
      return emptyBlobs
    }
  }

  /** One transaction. Throws SnapshotFault, and then nothing of it is kept. */
  save(pods: ReadonlyArray<PodBlob>, meta: Uint8Array | undefined): void {
    this.changing((database) => {
      const put = database.query("INSERT OR REPLACE INTO pods (id, saved_at_ms, checksum, body) VALUES (?, ?, ?, ?)")
      for (const { body, id, savedAtMs } of pods) put.run(id, savedAtMs, podChecksum(id, savedAtMs, body), body)
      if (meta !== undefined) {
        database.query("INSERT OR REPLACE INTO meta (id, checksum, body) VALUES (1, ?, ?)").run(checksumOf(meta), meta)
      }
      this.trim(database)
    })
  }

  /** Throws SnapshotFault. */
  remove(ids: ReadonlyArray<string>): void {
    this.changing((database) => {
      const remove = database.query("DELETE FROM pods WHERE id = ?")
      for (const id of ids) remove.run(id)
    })
  }

  /** Folds the log into the file. Never throws. */
  close(): void {
    const { database } = this
    this.database = undefined
    try {
      database?.run("PRAGMA wal_checkpoint(TRUNCATE)")
    } catch {
      // The log stays beside the file and is read at the next start.
    }
    database?.close()
    this.lock.release()
  }

  private changing(change: (database: Database) => void): void {
    try {
      this.guarded((database) => {
        if (!this.lock.take()) throw new SnapshotFault(inUse)
        database.transaction(change).immediate(database)
      }, undefined)
    } catch (cause) {
      throw faultOf(cause)
    }
  }

  /** A lock that can't be made is told of by the next save. */
  private warnIfInUse(): void {
    try {
      if (!this.lock.take()) this.warnings.push(inUse)
    } catch (cause) {
      if (!(cause instanceof SnapshotFault)) throw cause
    }
  }

  /** Runs `work` on the open file; one found damaged is set aside, and what then counts is `afterDamage` or a new try. */
  private guarded<A>(work: (database: Database) => A, afterDamage: A | undefined): A {
    try {
      return work(this.opened())
    } catch (cause) {
      if (!isDamage(cause)) throw cause
      this.dropDamaged()
      return afterDamage ?? work(this.opened())
    }
  }

  private dropDamaged(): void {
    if (!this.lock.take()) throw new SnapshotFault(`is damaged, and ${inUse}`)
    this.database?.close()
    this.database = undefined
    let aside: string
    try {
      aside = setAside(this.options.path, Date.now(), this.options.damagedKeptMax)
    } catch (cause) {
      throw new SnapshotFault(`is damaged and can't be set aside, since it ${faultOf(cause).message}`)
    }
    this.warnings.push(`is damaged and was set aside as ${aside}; going on with an empty one`)
  }

  private opened(): Database {
    const { path } = this.options
    if (this.database !== undefined) {
      if (statSync(path, { throwIfNoEntry: false })?.ino === this.inode) return this.database
      this.close()
    }
    const kind = fileKind(path)
    const untouchable = leftAlone.get(kind)
    if (untouchable !== undefined) throw new SnapshotFault(untouchable)
    if (kind === "damaged") throw new Damaged()
    if (kind === "absent") mkdirSync(dirname(path), { recursive: true })
    const database = new Database(path, { create: true, readwrite: true, strict: true })
    try {
      this.prepare(database, kind)
    } catch (cause) {
      database.close()
      throw cause
    }
    this.inode = statSync(path).ino
    this.database = database
    return database
  }

  private prepare(database: Database, kind: FileKind): void {
    database.run(`PRAGMA busy_timeout = ${this.options.busyTimeoutMs}`)
    if (kind === "absent") create(database)
    const mark = database.query<{ application_id: number }, []>("PRAGMA application_id").get()?.application_id
    const version = database.query<{ user_version: number }, []>("PRAGMA user_version").get()?.user_version ?? 0
    if (mark !== applicationId) throw new SnapshotFault(leftAlone.get("foreign"))
    if (version > schemaVersion) throw new SnapshotFault(leftAlone.get("newer"))
    const check = database.query<{ quick_check: string }, []>("PRAGMA quick_check(1)").get()?.quick_check
    if (version < schemaVersion || check !== "ok" || columnsOf(database) !== columns) throw new Damaged()
    database.run("PRAGMA journal_mode = WAL")
    database.run("PRAGMA synchronous = NORMAL")
    database.run("PRAGMA journal_size_limit = 16777216")
    database.run(`PRAGMA max_page_count = ${Math.ceil(this.options.fileBytesMax / pageBytes)}`)
  }

  private read(database: Database): SnapshotBlobs {
    const rows = database.query<PodRow, [number, number]>(
      "SELECT id, saved_at_ms AS savedAtMs, checksum, body FROM pods WHERE length(body) <= ? ORDER BY saved_at_ms DESC LIMIT ?"
    )
    const pods: Array<PodBlob> = []
    const damagedIds: Array<string> = []
    for (const { body, checksum, id, savedAtMs } of rows.iterate(this.options.blobBytesMax, this.options.podsMax)) {
      if (podChecksum(id, savedAtMs, body) === checksum) pods.push({ id, savedAtMs, body })
      else damagedIds.push(id)
    }
    const meta = database.query<MetaRow, [number]>("SELECT checksum, body FROM meta WHERE length(body) <= ?")
      .get(this.options.blobBytesMax)
    const metaIsWhole = meta === null || checksumOf(meta.body) === meta.checksum
    if (!metaIsWhole) this.warnings.push("the record of the expected output lengths is damaged and starts cold")
    return { pods, meta: metaIsWhole ? meta?.body : undefined, damagedIds }
  }

  private trim(database: Database): void {
    const count = database.query<{ count: number }, []>("SELECT count(*) AS count FROM pods").get()?.count ?? 0
    if (count <= this.options.podsMax) return
    database.query("DELETE FROM pods WHERE id IN (SELECT id FROM pods ORDER BY saved_at_ms, id LIMIT ?)")
      .run(count - this.options.podsMax)
  }
}

/** A CRC is the same in every version of Bun, which `Bun.hash` itself doesn't promise. */
const checksumOf = (bytes: Uint8Array): number => Bun.hash.crc32(bytes)

/** Over the whole record: with a wrong id it would be another pod's. */
const podChecksum = (id: string, savedAtMs: number, body: Uint8Array): number =>
  Bun.hash.crc32(body, Bun.hash.crc32(`${savedAtMs} ${id}`))

/** What `create` makes: SQLite's own check does not notice a table that is spelt otherwise. */
const columns = "meta.body meta.checksum meta.id pods.body pods.checksum pods.id pods.saved_at_ms"

const columnsOf = (database: Database): string =>
  database.query<{ name: string }, []>(
    "SELECT t.name || '.' || c.name AS name FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table' ORDER BY 1"
  ).all().map(({ name }) => name).join(" ")

/** Before the switch to WAL and in one transaction, so that the mark is in the first page that ever reaches the file. */
const create = (database: Database): void => {
  database.run(`PRAGMA page_size = ${pageBytes}`)
  database.transaction(() => {
    database.run(
      "CREATE TABLE IF NOT EXISTS pods (id TEXT PRIMARY KEY, saved_at_ms INTEGER NOT NULL, checksum INTEGER NOT NULL, body BLOB NOT NULL)"
    )
    database.run(
      "CREATE TABLE IF NOT EXISTS meta (id INTEGER PRIMARY KEY CHECK (id = 1), checksum INTEGER NOT NULL, body BLOB NOT NULL)"
    )
    database.run(`PRAGMA application_id = ${applicationId}`)
    database.run(`PRAGMA user_version = ${schemaVersion}`)
  }).immediate()
}
