import type { Fiber, Scope } from "effect"
import { type PodAddress, type PodId, samePodLabels } from "../src/core/Pod.ts"
import type { PodHandle } from "./PodActor.ts"
import type { PodProcess } from "./PodState.ts"
import { maxModelLen, type ModelCard, type PodSigns, type PodStatus, type PoolView } from "./PoolView.ts"

/** A pod of the pool with its actor. */
export interface Living {
  readonly phase: "running" | "draining"
  readonly address: PodAddress
  readonly pod: PodHandle
  readonly scope: Scope.CloseableScope
  /** Ends a drain whose pod does not become idle. */
  readonly grace: Fiber.RuntimeFiber<void> | undefined
}
export interface Gone {
  /** stopping: its actor is being stopped. down: its actor gave up and is due for a new one. */
  readonly phase: "stopping" | "down"
  readonly address: PodAddress
  readonly reason: string
}
export type Entry = Living | Gone

/** What the pool knows of a pod's process, for a snapshot. */
export interface PodSeen extends PodProcess {
  readonly id: PodId
  readonly models: ReadonlyArray<string>
}

export const isLiving = (entry: Entry | undefined): entry is Living =>
  entry !== undefined && (entry.phase === "running" || entry.phase === "draining")

export const podsSeen = (entries: ReadonlyMap<PodId, Entry>): ReadonlyArray<PodSeen> =>
  [...entries.values()].filter(isLiving).map(({ address: { id }, pod }) => {
    const { processStartS, tokensTotal } = pod.process()
    return { id, processStartS, tokensTotal, models: pod.status().models.map((card) => card.id) }
  })

export const poolView = (entries: ReadonlyMap<PodId, Entry>): PoolView => {
  const pods = (): ReadonlyArray<PodStatus> => [...entries.values()].map(statusOf)
  return {
    pods,
    signs: (id) => signsOf(entries.get(id)),
    hasOther: (id) => hasOther(entries, id),
    models: () => unionOfModels(pods())
  }
}

const hasOther = (entries: ReadonlyMap<PodId, Entry>, id: PodId): boolean => {
  const own = entries.get(id)
  const models = own === undefined ? [] : statusOf(own).models.map((card) => card.id)
  for (const [other, entry] of entries) {
    if (other === id) continue
    const status = statusOf(entry)
    if (status.health === "healthy" && status.models.some((card) => models.includes(card.id))) return true
  }
  return false
}

const statusOf = (entry: Entry): PodStatus => {
  if (isLiving(entry)) return { ...entry.pod.status(), address: entry.address }
  const { address, phase, reason } = entry
  return { address, health: phase === "down" ? "unhealthy" : "draining", reason, models: [], version: undefined }
}

const signsOf = (entry: Entry | undefined): PodSigns | undefined =>
  entry === undefined || isLiving(entry)
    ? entry?.pod.signs()
    : { isUnhealthy: entry.phase === "down", isInDoubt: false, timesWell: 0 }

const unionOfModels = (pods: ReadonlyArray<PodStatus>): ReadonlyArray<ModelCard> => {
  const cards = new Map<string, ModelCard>()
  for (const pod of pods) {
    if (pod.health !== "healthy") continue
    for (const card of pod.models) {
      const known = cards.get(card.id)
      if (known === undefined || (maxModelLen(card) ?? 0) > (maxModelLen(known) ?? 0)) cards.set(card.id, card)
    }
  }
  return [...cards.values()].sort((a, b) => (a.id < b.id ? -1 : 1))
}

/** The same process is asked in the same way. */
export const sameAddress = (a: PodAddress, b: PodAddress): boolean =>
  a.hostname === b.hostname && a.port === b.port && a.tls === b.tls

/** What discovery says of it beyond that is the same too. */
export const saidAlike = (a: PodAddress, b: PodAddress): boolean =>
  a.preset === b.preset && a.name === b.name && a.rank === b.rank && samePodLabels(a.labels, b.labels)
