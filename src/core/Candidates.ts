import type { Exclusion } from "./Explanation.ts"
import { ModelRows, type Served } from "./ModelRows.ts"
import type { PodAddress } from "./Pod.ts"
import type { PodGuard } from "./PodGuard.ts"
import type { PodTable } from "./PodTable.ts"
import type { PickContext } from "./Policy.ts"
import type { RequestFeatures } from "./RequestFeatures.ts"
import { hasRow } from "./rowMask.ts"

/**
 * What may become of a request without regard to load. pod: one would take it. away: none does now, but one may come
 * or come back. The others: waiting would not mend it.
 */
export type Outlook = "pod" | "away" | "unknown-model" | "no-pod"

/**
 * Which pods may take a request: those that serve its model, accept, are not excluded and that the guard lets pass.
 * Where one of them holds a request as long as it seems to be, those that do not are left out.
 */
export class Candidates {
  readonly models: ModelRows
  private readonly table: PodTable
  private readonly guard: PodGuard
  /** By row: 1 once the pod has said what it serves. */
  private readonly described: Uint8Array
  /** Pods that hold less were left out of the last `collect`; 0: none was. */
  private heldTokens = 0

  constructor(table: PodTable, guard: PodGuard, modelsMax: number) {
    this.table = table
    this.guard = guard
    this.models = new ModelRows(table.rowsMax, modelsMax)
    this.described = new Uint8Array(table.rowsMax)
  }

  /** What the pod serves, and the tokens of a request that it takes. Not `sure`: it is not from the pod itself. */
  describe(row: number, models: ReadonlyArray<string>, sure: boolean, tokensMax?: number): void {
    this.models.set(row, models, tokensMax)
    this.described[row] = sure ? 1 : 0
  }

  /** The row names another pod, or none, from now on. */
  clear(row: number): void {
    this.models.clear(row)
    this.described[row] = 0
  }

  /** Fills the context's candidates. `ramps` false leaves slow start, which takes random numbers, out. */
  collect(
    context: PickContext,
    request: RequestFeatures,
    excluded: ReadonlyArray<string>,
    ramps: boolean
  ): "unknown-model" | "no-pod" | undefined {
    this.heldTokens = 0
    context.candidateCount = 0
    const served = this.servedAs(request)
    if (request.model !== "" && served === undefined) return this.isEveryPodDescribed() ? "unknown-model" : "no-pod"
    this.gather(context, request, excluded, served)
    const tokens = tokensOf(request)
    if (served !== undefined && this.models.parts(served, tokens) && this.keepThoseThatHold(context, tokens)) {
      this.guard.admit(context, ramps)
      this.heldTokens = tokens
      if (context.candidateCount > 0) return undefined
      // The length is an estimate, so a pod that is at hand may take it after all.
      this.heldTokens = 0
      this.gather(context, request, excluded, served)
    }
    this.guard.admit(context, ramps)
    return context.candidateCount === 0 ? "no-pod" : undefined
  }

  /**
   * Whether a pod would take the request, or may later. One that failed it and is away may come back as good as new;
   * while it still accepts that is believed only of one whose last request failed by its own fault.
   */
  outlook(request: RequestFeatures, excluded: ReadonlyArray<string>, nowS: number): Outlook {
    const { guard, table } = this
    const served = this.servedAs(request)
    if (request.model !== "" && served === undefined) return this.isEveryPodDescribed() ? "unknown-model" : "away"
    let pods = 0
    let mayCome = false
    for (let row = 0; row < table.rowCount; row++) {
      if (table.live[row] === 0) continue
      pods++
      if (served !== undefined && !hasRow(served.rows, row)) continue
      if (request.only !== undefined && !isAmong(table.addresses[row], request.only)) continue
      if (table.accepting[row] === 0 || guard.blocks(row, nowS)) mayCome = true
      else if (!excluded.includes(table.addresses[row]?.id ?? "")) return "pod"
      else if (guard.isInDoubt(row)) mayCome = true
    }
    return mayCome || pods === 0 ? "away" : "no-pod"
  }

  /** Why a pod can't get a request for the model, as the last `collect` found; undefined: it can. */
  exclusionOf(row: number, model: string, nowS: number): Exclusion | undefined {
    if (this.table.accepting[row] === 0) return "not-accepting"
    if (this.guard.blocks(row, nowS)) return "breaker-open"
    if (model === "") return undefined
    const served = this.models.servedAs(model)
    if (served === undefined || !hasRow(served.rows, row)) return "other-model"
    return this.models.holds(row, this.heldTokens) ? undefined : "too-short"
  }

  /** Fills the context with the pods that would be asked if they are well. */
  private gather(
    context: PickContext,
    request: RequestFeatures,
    excluded: ReadonlyArray<string>,
    served: Served | undefined
  ): void {
    const { table } = this
    let count = 0
    for (let row = 0; row < table.rowCount; row++) {
      if (table.accepting[row] === 0) continue
      if (served !== undefined && !hasRow(served.rows, row)) continue
      if (excluded.length > 0 && excluded.includes(table.addresses[row]?.id ?? "")) continue
      if (request.only !== undefined && !isAmong(table.addresses[row], request.only)) continue
      context.candidates[count++] = row
    }
    context.candidateCount = count
  }

  /** False: none does, and the candidates are as they were. */
  private keepThoseThatHold(context: PickContext, tokens: number): boolean {
    const { candidates } = context
    let count = 0
    for (let i = 0; i < context.candidateCount; i++) {
      const row = candidates[i] ?? 0
      if (this.models.holds(row, tokens)) candidates[count++] = row
    }
    if (count === 0) return false
    context.candidateCount = count
    return true
  }

  private servedAs({ model }: RequestFeatures): Served | undefined {
    return model === "" ? undefined : this.models.servedAs(model)
  }

  /** A pod that has not said yet what it serves, after a restart of the gateway for example, may serve any model. */
  private isEveryPodDescribed(): boolean {
    const { described, table } = this
    let pods = 0
    for (let row = 0; row < table.rowCount; row++) {
      if (table.live[row] === 0) continue
      if (described[row] === 0) return false
      pods++
    }
    return pods > 0
  }
}

const isAmong = (address: PodAddress | undefined, names: ReadonlyArray<string>): boolean =>
  address !== undefined && (names.includes(address.id) || names.includes(address.hostname))

/** What the request needs of a pod's context; vLLM wants room for one token of output at least. */
const tokensOf = ({ generates, outputTokensMax, promptTokens }: RequestFeatures): number =>
  promptTokens + (generates ? outputTokensMax ?? 1 : 0)
