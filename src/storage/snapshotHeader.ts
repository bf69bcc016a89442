import { closeSync, openSync, readdirSync, readSync, renameSync, rmSync, statSync } from "node:fs"
import { basename, dirname, join } from "node:path"

/** In the header of our files (SQLite's `application_id`), so that no other program's file is taken for ours. */
export const applicationId = 0x57415254

/** SQLite's `user_version`: of the tables. */
export const schemaVersion = 1

/** What a path holds, told from the first bytes without opening it as a database, which could already write to it. */
export type FileKind = "absent" | "ours" | "newer" | "foreign" | "damaged" | "not a file"

const headerBytes = 100
const writeVersionAt = 18
const readVersionAt = 19
const formatAt = 44
const userVersionAt = 60
const applicationIdAt = 68

const readHeader = (path: string): Buffer => {
  const header = Buffer.alloc(headerBytes)
  const file = openSync(path, "r")
  try {
    return header.subarray(0, readSync(file, header, 0, headerBytes, 0))
  } finally {
    closeSync(file)
  }
}

/** Throws what the file system says when the path can't be read. */
export const fileKind = (path: string): FileKind => {
  const stats = statSync(path, { throwIfNoEntry: false })
  if (stats === undefined) return "absent"
  if (!stats.isFile()) return "not a file"
  // SQLite takes an empty file for a new database, and a crash while creating one leaves just that.
  if (stats.size === 0) return "absent"
  const header = readHeader(path)
  if (header.every((byte) => byte === 0)) return "damaged"
  // A header that is broken elsewhere but carries our mark is still ours to set aside.
  if (header.length < headerBytes || header.readUInt32BE(applicationIdAt) !== applicationId) return "foreign"
  if (!isReadable(header)) return "damaged"
  return header.readUInt32BE(userVersionAt) > schemaVersion ? "newer" : "ours"
}

/** SQLite calls other values a read-only file or one from the future. https://www.sqlite.org/fileformat2.html */
const isReadable = (header: Buffer): boolean =>
  isJournalVersion(header[writeVersionAt]) && isJournalVersion(header[readVersionAt]) &&
  header.readUInt32BE(formatAt) <= 4

const isJournalVersion = (version: number | undefined): boolean => version === 1 || version === 2

const mark = ".damaged-"

/**
 * Renames a damaged file to `<path>.damaged-<time>` with its log, and removes all but the newest `keptMax` of such.
 * Returns the new name.
 */
export const setAside = (path: string, nowMs: number, keptMax: number): string => {
  const aside = `${path}${mark}${new Date(nowMs).toISOString().replaceAll(":", "-")}`
  renameSync(path, aside)
  for (const suffix of ["-wal", "-journal"]) {
    try {
      renameSync(`${path}${suffix}`, `${aside}${suffix}`)
    } catch {
      // There is none.
    }
  }
  rmSync(`${path}-shm`, { force: true })
  const prefix = `${basename(path)}${mark}`
  const kept = readdirSync(dirname(path)).filter((name) => name.startsWith(prefix) && !/-(wal|journal)$/.test(name))
    .sort()
  for (const name of kept.slice(0, Math.max(0, kept.length - keptMax))) {
    for (const suffix of ["", "-wal", "-journal"]) rmSync(join(dirname(path), `${name}${suffix}`), { force: true })
  }
  return aside
}
