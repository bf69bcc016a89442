import type { CoreTime, CoreUse } from "./CoreTime.ts"
import type { Lateness } from "./lateness.ts"
import { isTraced, longestStall, longestWayMs, type Stall, type StreamTrace } from "./stalls.ts"
import type { RequestRecord } from "./tally.ts"

/** A stall for the report, whole milliseconds; `Stall` says what they are. */
interface ReportedStall extends Omit<Stall, "startMs" | "endMs"> {
  readonly user: string
  /** From the start of the faults. */
  readonly atS: number
  readonly pods: ReadonlyArray<number>
  readonly gateway: CoreUse
}

export interface StallReport {
  /** Milliseconds; 0: no stream. */
  readonly longestWayMs: number
  /** Streams of which pod and client told each event. */
  readonly tracedStreams: number
  /** The worst ones, longest first. */
  readonly stalls: ReadonlyArray<ReportedStall>
}

export interface StallSources {
  /** Of the streams to be judged. */
  readonly records: ReadonlyArray<RequestRecord>
  readonly seen: ReadonlyMap<string, ReadonlyArray<number>>
  readonly written: ReadonlyMap<string, ReadonlyArray<number>>
  /** By pod. */
  readonly podLate: ReadonlyArray<ReadonlyArray<Lateness>>
  readonly clientLate: ReadonlyArray<Lateness>
  readonly gateway: CoreTime
  /** Of the faults. */
  readonly startMs: number
}

const REPORTED = 5

export const stallReport = (sources: StallSources): StallReport => {
  const traced = sources.records.flatMap((record) => {
    const trace = traceOf(sources, record)
    return isTraced(trace) ? [{ record, trace }] : []
  })
  const stalls = traced.map(({ record: { user }, trace }) => ({ user, stall: longestStall(trace) }))
    .sort((one, other) => other.stall.ms - one.stall.ms)
  return {
    longestWayMs: Math.round(traced.reduce((most, { trace }) => Math.max(most, longestWayMs(trace)), 0)),
    tracedStreams: traced.length,
    stalls: stalls.slice(0, REPORTED).map(({ stall, user }) => reported(sources, user, stall))
  }
}

const traceOf = ({ clientLate, podLate, seen, written }: StallSources, record: RequestRecord): StreamTrace => ({
  eventMs: record.eventMs,
  writtenMs: written.get(record.user) ?? [],
  // The one that answered; those before it were tried in vain.
  podLate: podLate[seen.get(record.user)?.at(-1) ?? -1] ?? [],
  clientLate
})

const reported = ({ gateway, seen, startMs }: StallSources, user: string, stall: Stall): ReportedStall => {
  const { ranMs, waitedMs } = gateway.between(stall.startMs, stall.endMs)
  return {
    user,
    atS: Math.round((stall.endMs - startMs) / 100) / 10,
    pods: seen.get(user) ?? [],
    ms: Math.round(stall.ms),
    podMs: Math.round(stall.podMs),
    podLateMs: Math.round(stall.podLateMs),
    clientMs: Math.round(stall.clientMs),
    betweenMs: Math.round(stall.betweenMs),
    gateway: { ranMs: Math.round(ranMs), waitedMs: Math.round(waitedMs) }
  }
}
