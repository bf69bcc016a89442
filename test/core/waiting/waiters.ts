import { podAddress } from "../../../src/core/Pod.ts"
import type { GuardOptions } from "../../../src/core/PodGuard.ts"
import type { Policy } from "../../../src/core/Policy.ts"
import type { RequestFeatures } from "../../../src/core/RequestFeatures.ts"
import type { Scheduler } from "../../../src/core/Scheduler.ts"
import type { FleetRoomOptions } from "../../../src/core/waiting/FleetRoom.ts"
import type { Waiting, WaitingTerms } from "../../../src/core/waiting/Waiting.ts"
import type { WaitingRoom } from "../../../src/core/waiting/WaitingRoom.ts"
import { requestOf, roundConstants, schedulerOf } from "../../policies/fleet.ts"

export interface Wanted extends Partial<WaitingTerms> {
  /** Prefill seconds; a token takes 0.1 ms in these tests. */
  readonly ownS?: number
  readonly arrivedS?: number
  readonly podlessSinceS?: number | undefined
  readonly returns?: boolean
}

const TOKEN_S = 1e-4

export const requestOfWork = (ownS: number, overrides: Partial<RequestFeatures> = {}): RequestFeatures => ({
  ...requestOf(Math.round(ownS / TOKEN_S)),
  outputTokensMax: 1,
  ...overrides
})

/** The chain of a prompt that shares its blocks with those that begin with the same number. */
export const blocks = (count: number, first: number) => () => ({
  low: Uint32Array.from({ length: count }, (_, i) => first + i),
  high: new Uint32Array(count).fill(7),
  length: count
})

export const termsOf = (terms: Partial<WaitingTerms> = {}): WaitingTerms => ({
  priority: 0,
  flow: "",
  bytes: 0,
  deadlineS: Number.POSITIVE_INFINITY,
  ...terms
})

export const entryOf = (
  room: WaitingRoom<number>,
  ticket: number,
  { arrivedS = 0, ownS = 1, podlessSinceS, returns = false, ...terms }: Wanted = {}
): Waiting<number> => ({
  ticket,
  request: requestOfWork(ownS),
  excluded: [],
  terms: termsOf(terms),
  arrivedS,
  ownS,
  key: room.keyOf(ownS, arrivedS),
  returns,
  nextTryS: 0,
  deadlineS: Number.POSITIVE_INFINITY,
  podlessSinceS,
  podlessS: 0,
  modelUntilS: 0
})

/** Tickets in the order of a scan. */
export const scanOf = (room: WaitingRoom<number>): ReadonlyArray<number> => {
  room.startScan()
  const tickets: Array<number> = []
  for (let entry = room.next(); entry !== undefined; entry = room.next()) tickets.push(entry.ticket)
  return tickets
}

/** Sends off as many as are asked for, always the first in order. */
export const serve = (room: WaitingRoom<number>, count: number): ReadonlyArray<Waiting<number>> => {
  const gone: Array<Waiting<number>> = []
  for (let i = 0; i < count; i++) {
    room.startScan()
    const entry = room.next()
    if (entry === undefined) break
    room.leave(entry, true)
    gone.push(entry)
  }
  return gone
}

export const pod = (index: number) => podAddress("10.0.0.1", 8000 + index, false)

/** Picks the candidate with the shortest queue. */
const shortest: Policy = {
  type: "shortest",
  isRevocable: true,
  pick: ({ candidateCount, candidates, table }) => {
    let best = candidates[0] ?? -1
    for (let i = 1; i < candidateCount; i++) {
      const row = candidates[i] ?? 0
      if ((table.prefillAheadS[row] ?? 0) < (table.prefillAheadS[best] ?? 0)) best = row
    }
    return best
  }
}

/** A fleet whose pods take one request after another: a pod has room while nothing is queued there. */
export const fleetOf = (
  pods: number,
  options: {
    readonly policy?: Policy
    readonly room?: Partial<FleetRoomOptions>
    readonly openMax?: number
    readonly guard?: GuardOptions
  } = {}
): Scheduler =>
  schedulerOf(
    Array.from({ length: pods }, (_, index) => pod(index)),
    {
      policy: options.policy ?? shortest,
      openRequestsMax: options.openMax ?? 10_000,
      initialOutputTokens: 1,
      guard: options.guard,
      room: {
        queueMaxS: 0,
        kvShareMax: 1,
        kvShareModest: 1,
        kvShareAmple: 1,
        giantTokens: 1e9,
        flushShareMax: 0.6,
        ...options.room
      } as FleetRoomOptions
    },
    { ...roundConstants, prefillTokenS: TOKEN_S, kvCapacityTokens: 1e7 }
  )
