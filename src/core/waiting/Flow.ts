interface Keyed {
  readonly key: number
  readonly ownS: number
}

/** Requests of one flow of a band, lowest key first, and how far a scan of them has come. */
export class Flow<Entry extends Keyed> {
  readonly name: string
  readonly waiting: Array<Entry> = []
  /** Prefill seconds of those. */
  workS = 0
  /** Prefill seconds sent off for it, on the scale of its band: the flow with least goes next. */
  servedS: number
  private scan = -1
  private cursor = 0
  private passedS = 0

  constructor(name: string, servedS: number) {
    this.name = name
    this.servedS = servedS
  }

  add(entry: Entry): void {
    const at = placeAfter(this.waiting, entry.key)
    this.waiting.splice(at, 0, entry)
    this.workS += entry.ownS
    if (at >= this.cursor) return
    this.cursor++
    this.passedS += entry.ownS
  }

  /** False: it is not here. */
  remove(entry: Entry): boolean {
    const at = placeOf(this.waiting, entry)
    if (at < 0) return false
    this.waiting.splice(at, 1)
    this.workS = Math.max(0, this.workS - entry.ownS)
    if (at >= this.cursor) return true
    this.cursor--
    this.passedS -= entry.ownS
    return true
  }

  /** Where the flow would stand if all that this scan passed had gone; undefined: it has passed all. */
  standsS(scan: number): number | undefined {
    if (this.scan !== scan) {
      this.scan = scan
      this.cursor = 0
      this.passedS = 0
    }
    return this.cursor < this.waiting.length ? this.servedS + this.passedS : undefined
  }

  /** The next of the scan. */
  next(scan: number): Entry | undefined {
    if (this.standsS(scan) === undefined) return undefined
    const entry = this.waiting[this.cursor++]
    this.passedS += entry?.ownS ?? 0
    return entry
  }

  /** Prefill seconds of those that go before one of this key. */
  aheadS(key: number): number {
    let aheadS = 0
    for (const entry of this.waiting) {
      if (entry.key > key) break
      aheadS += entry.ownS
    }
    return aheadS
  }
}

/** Where a key belongs: behind its equals. */
const placeAfter = (waiting: ReadonlyArray<Keyed>, key: number): number => {
  let low = 0
  let high = waiting.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((waiting[middle]?.key ?? 0) <= key) low = middle + 1
    else high = middle
  }
  return low
}

/** Where an entry is, -1: nowhere. Its equals lie before the place where another of its key would go. */
const placeOf = <Entry extends Keyed>(waiting: ReadonlyArray<Entry>, entry: Entry): number => {
  for (let at = placeAfter(waiting, entry.key) - 1; at >= 0 && waiting[at]?.key === entry.key; at--) {
    if (waiting[at] === entry) return at
  }
  return -1
}
