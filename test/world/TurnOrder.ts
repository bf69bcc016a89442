import type { WorldExchange } from "./WorldExchange.ts"

/**
 * Start-time fair queueing keeps two backlogged flows of equal requests within two requests of each other, and one that
 * had nobody waiting for a moment gets back two seconds of prefill at most, of which a request here takes a tenth.
 */
const LEAD_MAX = 2 + 10

/**
 * Who goes next, while all that wait are alike and could go to the same pods: then no request may go before one of a
 * higher band, flows of a band take turns, and a flow is first in, first out.
 */
export class TurnOrder {
  /** Only then are those that wait alike. */
  isOn = false
  placedInTurn = 0
  private readonly violation: (what: string) => void
  /** Those that wait, and when in order they began to: a retry begins anew. */
  private readonly waiting = new Map<WorldExchange, number>()
  private begun = 0
  /** Passed over, unless it turns out that they gave up at that very moment: a refusal is heard later than a pick. */
  private passedOver: Array<{ readonly other: WorldExchange; readonly what: string }> = []
  /** By band, flow and other flow: requests of the one more than of the other, while both had some waiting. */
  private readonly leads = new Map<string, number>()

  constructor(violation: (what: string) => void) {
    this.violation = violation
  }

  clear(): void {
    this.waiting.clear()
    this.leads.clear()
  }

  waits(exchange: WorldExchange): void {
    if (this.isOn) this.waiting.set(exchange, this.begun++)
  }

  left(exchange: WorldExchange): void {
    this.passedOver = this.passedOver.filter(({ other }) => other !== exchange)
    if (this.waiting.delete(exchange)) this.forgetIdle()
  }

  /** All is quiet. */
  look(): void {
    for (const { what } of this.passedOver.splice(0)) this.violation(what)
  }

  placed(exchange: WorldExchange): void {
    const began = this.waiting.get(exchange)
    if (began === undefined) return
    this.waiting.delete(exchange)
    this.placedInTurn++
    const { flow, number, priority } = placeOf(exchange)
    const seen = new Set<string>()
    for (const [other, otherBegan] of this.waiting) {
      const its = placeOf(other)
      if (its.priority > priority) {
        this.passedOver.push({ other, what: `band ${priority} went before band ${its.priority}` })
      }
      if (its.priority !== priority) continue
      if (its.flow === flow && otherBegan < began) {
        this.passedOver.push({ other, what: `request ${number} went before ${its.number}` })
      }
      if (its.flow === flow || seen.has(its.flow)) continue
      seen.add(its.flow)
      const lead = this.lead(priority, flow, its.flow, 1)
      this.lead(priority, its.flow, flow, -1)
      if (lead > LEAD_MAX) this.violation(`flow ${flow} of band ${priority} leads ${its.flow} by ${lead} requests`)
    }
    this.forgetIdle()
  }

  private lead(priority: number, flow: string, other: string, more: number): number {
    const key = `${priority} ${flow} ${other}`
    const lead = (this.leads.get(key) ?? 0) + more
    this.leads.set(key, lead)
    return lead
  }

  private forgetIdle(): void {
    const busy = new Set<string>()
    for (const exchange of this.waiting.keys()) {
      const { flow, priority } = placeOf(exchange)
      busy.add(`${priority} ${flow}`)
    }
    for (const key of this.leads.keys()) {
      const [priority, flow, other] = key.split(" ")
      if (!busy.has(`${priority} ${flow}`) || !busy.has(`${priority} ${other}`)) this.leads.delete(key)
    }
  }
}

const placeOf = ({ request: { features: { wish }, number } }: WorldExchange) => ({
  number,
  priority: wish?.priority ?? 0,
  flow: wish?.flow ?? ""
})
