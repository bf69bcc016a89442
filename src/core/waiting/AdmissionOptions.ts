import type { WaitingRoomOptions } from "./WaitingRoom.ts"

export interface AdmissionOptions extends WaitingRoomOptions {
  /** After this long a request waits no more for KV room or for others' cached prefixes, only for its turn. */
  readonly patienceS: number
  /** So long a request waits while no pod that serves it takes requests, and one may come; 0: it is refused at once. */
  readonly podlessS: number
  /** A band is overloaded once more work came to wait in it than went on for so long; less is a burst. */
  readonly overloadAfterS: number
  /** So long a request of an overloaded band waits at most; undefined: as long as of any. */
  readonly overloadWaitS?: number | undefined
  /** Of bands with another bound than that; Infinity: as long as of any. */
  readonly bandOverloadWaitS?: ReadonlyMap<number, number> | undefined
  /** A band leaves room to those above it for so long after one of their requests came; 0: it never does. */
  readonly yieldForS: number
  /** What is overloaded or leaves room to others goes to no pod with more prefill ahead; undefined: as at other times. */
  readonly shortQueueMaxS?: number | undefined
  /** Of a band, where it is not the scheduler's own: a pod with more prefill ahead has no room for the band's requests. */
  readonly bandQueueMaxS?: ReadonlyMap<number, number> | undefined
}

/** DESIGN 5, but for the patience, which the simulator chose; count and bytes bound what a gateway may hold. */
export const admissionDefaults: AdmissionOptions = {
  requestsMax: 4096,
  bytesMax: 512 * 1024 * 1024,
  ageingPerS: 0.1,
  patienceS: 30,
  podlessS: 0,
  overloadAfterS: 20,
  yieldForS: 60
}

/**
 * Why a request that had to wait does not go on: no room to wait in or pushed out of it, its time is up or would be
 * before its turn comes, its client left, or trying it failed by a defect.
 */
export type WaitRefusal = "queue-full" | "queue-too-long" | "waited-too-long" | "client-left" | "broken"
