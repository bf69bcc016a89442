import { median } from "./median.ts"

/** The gateway at the end of one minute, with no request in hand. */
export interface SoakMinute {
  readonly minute: number
  readonly requests: number
  readonly ok: number
  readonly cleanErrors: number
  readonly uncleanErrors: number
  readonly rssMb: number
  readonly openRequests: number
  readonly reservations: number
  readonly waitingRequests: number
  readonly sockets: number
  readonly fds: number
  readonly reasons: Readonly<Record<string, number>>
}

export interface SoakVerdict {
  /** Memory of the last third of the minutes over that of the first third, medians; the first minute warms up. */
  readonly rssRatio: number
  /** Least-squares slope from the second minute on. */
  readonly rssMbPerMinute: number
  /** The most that was ever left over when nothing was going on. */
  readonly inflightMost: number
  /** Files and sockets at the end less those at the end of the second minute. */
  readonly fdDrift: number
  readonly socketDrift: number
  readonly uncleanErrors: number
}

const RSS_RATIO_MAX = 1.2
/** Before, compiled code and the collector's habits are most of what grows. */
const RSS_JUDGED_FROM_MINUTES = 10

/** What must hold of a soak and does not. */
export const brokenBySoak = (verdict: SoakVerdict, minutes: number): ReadonlyArray<string> => {
  const { fdDrift, inflightMost, rssRatio, socketDrift, uncleanErrors } = verdict
  const broken: Array<string> = []
  if (uncleanErrors > 0) broken.push(`${uncleanErrors} requests ended unclean`)
  if (inflightMost > 0) broken.push(`${inflightMost} requests or reservations were left over when nothing was going on`)
  if (socketDrift > 0) broken.push(`${socketDrift} sockets more at the end than after the second minute`)
  if (fdDrift > 0) broken.push(`${fdDrift} file descriptors more at the end than after the second minute`)
  if (minutes >= RSS_JUDGED_FROM_MINUTES && rssRatio > RSS_RATIO_MAX) {
    broken.push(`memory grew to ${rssRatio} times; ${RSS_RATIO_MAX} is the limit`)
  }
  return broken
}

const slope = (values: ReadonlyArray<number>): number => {
  const middleX = (values.length - 1) / 2
  const middleY = values.reduce((sum, value) => sum + value, 0) / values.length
  let above = 0
  let below = 0
  for (const [x, y] of values.entries()) {
    above += (x - middleX) * (y - middleY)
    below += (x - middleX) ** 2
  }
  return below === 0 ? 0 : above / below
}

const rounded = (value: number): number => Number(value.toFixed(3))

/** What the minutes come down to. */
export const soakVerdict = (minutes: ReadonlyArray<SoakMinute>): SoakVerdict => {
  const warm = minutes.length > 1 ? minutes.slice(1) : minutes
  const rss = warm.map(({ rssMb }) => rssMb)
  const third = Math.max(1, Math.floor(rss.length / 3))
  const [first, last] = [warm[0], warm.at(-1)]
  return {
    rssRatio: rounded(median(rss.slice(-third)) / Math.max(1, median(rss.slice(0, third)))),
    rssMbPerMinute: rounded(slope(rss)),
    inflightMost: Math.max(
      0,
      ...minutes.map((minute) => minute.openRequests + minute.reservations + minute.waitingRequests)
    ),
    fdDrift: (last?.fds ?? 0) - (first?.fds ?? 0),
    socketDrift: (last?.sockets ?? 0) - (first?.sockets ?? 0),
    uncleanErrors: minutes.reduce((sum, minute) => sum + minute.uncleanErrors, 0)
  }
}
