/** Why the file can't be used now; the message completes "<path>: …". */
export class SnapshotFault extends Error {}

/** The file is ours and can't be read: it may be set aside. */
export class Damaged extends Error {}

const meanings: ReadonlyArray<readonly [code: string, why: string]> = [
  ["SQLITE_FULL", "the disk is full, or the file has reached its limit"],
  ["ENOSPC", "the disk is full"],
  ["SQLITE_READONLY", "is read-only; make it writable"],
  ["EROFS", "is on a read-only file system"],
  ["SQLITE_BUSY", "is locked by another process"],
  ["SQLITE_LOCKED", "is locked by another process"],
  ["SQLITE_NOTADB", "is no SQLite database"],
  ["SQLITE_CANTOPEN", "can't be opened; is its directory writable?"],
  ["EACCES", "may not be read or written by this user"],
  ["EPERM", "may not be read or written by this user"],
  ["ENOTDIR", "lies below something that is not a directory"],
  ["EEXIST", "lies below something that is not a directory"]
]

const codeOf = (cause: unknown): string => {
  const { code } = cause as { code?: unknown }
  return typeof code === "string" ? code : ""
}

export const isDamage = (cause: unknown): boolean =>
  // A file that was cut, with its log beside it, ends before the pages that it counts.
  cause instanceof Damaged || /^SQLITE_(CORRUPT|NOTADB|IOERR_SHORT_READ)/.test(codeOf(cause))

/** What to tell people of any error on the way to the file. */
export const faultOf = (cause: unknown): SnapshotFault => {
  if (cause instanceof SnapshotFault) return cause
  const code = codeOf(cause)
  const why = meanings.find(([prefix]) => code.startsWith(prefix))?.[1]
  return new SnapshotFault(why ?? (cause instanceof Error ? cause.message : String(cause)))
}
