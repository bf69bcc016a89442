/** Edits (insert, delete, replace, swap neighbours) that turn one text into the other, case ignored. */
export const editDistance = (from: string, to: string): number => {
  const [a, b] = [from.toLowerCase(), to.toLowerCase()]
  let beforeLast: ReadonlyArray<number> = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let edits = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        edits = Math.min(edits, (beforeLast[j - 2] ?? 0) + 1)
      }
      row.push(edits)
    }
    beforeLast = last
    last = row
  }
  return last[b.length] ?? 0
}

/** A longer name is none that somebody mistyped, and to compare it would take long. */
const NAME_CHARS_MAX = 200

/** The known name that was probably meant: at most a third of it mistyped, or only its beginning written. */
export const didYouMean = (name: string, known: ReadonlyArray<string>): string | undefined => {
  if (name.length > NAME_CHARS_MAX) return undefined
  let best: string | undefined
  let fewest = Number.POSITIVE_INFINITY
  for (const candidate of known) {
    const isBeginning = name.length >= 3 && candidate.toLowerCase().startsWith(name.toLowerCase())
    const edits = isBeginning ? 1 : editDistance(name, candidate)
    if (edits < fewest && edits <= Math.max(1, Math.floor(candidate.length / 3))) {
      best = candidate
      fewest = edits
    }
  }
  return best
}
