const words: ReadonlyMap<unknown, string> = new Map([
  ["ENOENT", "does not exist"],
  ["EISDIR", "is a directory"],
  ["ENOTDIR", "has a file where a directory must be"],
  ["ELOOP", "is a link that leads back to itself"],
  ["ENAMETOOLONG", "has too long a name"],
  ["EROFS", "lies where nothing can be written"],
  ["ENOSPC", "has no room on its disk"],
  ["EDQUOT", "has no room in this user's quota"],
  ["EMFILE", "can't be opened: this process has too many files open"]
])

/** What is wrong with a file, as words that follow its name; an error that is not the system's speaks for itself. */
export const fileWords = (cause: unknown, use: "read" | "written"): string => {
  const message = cause instanceof Error ? cause.message : String(cause)
  const code = typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined
  if (code === "EACCES" || code === "EPERM") return `may not be ${use} by this user`
  const said = words.get(code)
  if (said !== undefined) return said
  // EIO: i/o error, read '/some/file'
  const own = /^[A-Z][A-Z0-9]+: (.+?)(?:, [a-z]+(?: '.*')?)?$/s.exec(message)?.[1]
  return own === undefined ? message : `can't be ${use}: ${own}`
}
