import type { Lateness } from "./lateness.ts"

/** One stream, event by event, on the clock of `benchMs`. */
export interface StreamTrace {
  /** When its client had each event. */
  readonly eventMs: ReadonlyArray<number>
  /** When its pod gave each event to its socket. */
  readonly writtenMs: ReadonlyArray<number>
  readonly podLate: ReadonlyArray<Lateness>
  readonly clientLate: ReadonlyArray<Lateness>
}

/** Where the time between two events went; `podMs`, `clientMs` and `betweenMs` are all of `ms`. */
export interface Stall {
  readonly ms: number
  readonly startMs: number
  readonly endMs: number
  /** The pod itself wrote nothing for so long. */
  readonly podMs: number
  /** Of that its process wanted to run and did not, or was busy; the rest is its engine's step. */
  readonly podLateMs: number
  /** The event lay before the client, which was late. */
  readonly clientMs: number
  /** Between pod and client: the gateway, where there is one, and the kernel. */
  readonly betweenMs: number
}

/** Pod and client tell of the same events; otherwise nothing can be said. */
export const isTraced = ({ eventMs, writtenMs }: StreamTrace): boolean =>
  eventMs.length > 1 && eventMs.length === writtenMs.length

/** The longest of the stream, which must be traced. */
export const longestStall = (trace: StreamTrace): Stall => {
  const { clientLate, eventMs, podLate, writtenMs } = trace
  let worst = 1
  for (let event = 2; event < eventMs.length; event++) {
    if (eventMs[event]! - eventMs[event - 1]! > eventMs[worst]! - eventMs[worst - 1]!) worst = event
  }
  const [startMs, endMs] = [eventMs[worst - 1]!, eventMs[worst]!]
  const [writtenBeforeMs, writtenAtMs] = [writtenMs[worst - 1]!, writtenMs[worst]!]
  const ms = endMs - startMs
  const podMs = Math.min(ms, writtenAtMs - writtenBeforeMs)
  const clientMs = Math.min(ms - podMs, overlapMs(clientLate, writtenAtMs, endMs))
  return {
    ms,
    startMs,
    endMs,
    podMs,
    podLateMs: Math.min(podMs, overlapMs(podLate, writtenBeforeMs, writtenAtMs)),
    clientMs,
    betweenMs: ms - podMs - clientMs
  }
}

/** The longest way of an event of the stream from its pod to its client, less what the client was late meanwhile. */
export const longestWayMs = ({ clientLate, eventMs, writtenMs }: StreamTrace): number => {
  let longest = 0
  for (const [event, endMs] of eventMs.entries()) {
    const wrote = writtenMs[event]!
    if (endMs - wrote > longest) longest = Math.max(longest, endMs - wrote - overlapMs(clientLate, wrote, endMs))
  }
  return longest
}

const overlapMs = (late: ReadonlyArray<Lateness>, fromMs: number, toMs: number): number =>
  late.reduce((sum, { endMs, startMs }) => sum + Math.max(0, Math.min(toMs, endMs) - Math.max(fromMs, startMs)), 0)
