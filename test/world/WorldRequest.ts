import type { RequestFeatures } from "../../src/core/RequestFeatures.ts"
import { chainOf, prefixOf, type Segment, tokensOf } from "../../src/simulator/promptChain.ts"
import type { SeededRandom } from "../../src/simulator/SeededRandom.ts"

/** What a client asks for. */
export interface WorldRequest {
  readonly number: number
  readonly segments: ReadonlyArray<Segment>
  readonly promptTokens: number
  readonly outputTokens: number
  readonly kind: "chat" | "completions"
  /** The client wants counts at the end of its stream. */
  readonly includesUsage: boolean
  /** Its stream may go on at another pod. */
  readonly rescues: boolean
  readonly features: RequestFeatures
}

interface Session {
  segments: Array<Segment>
}

/** The model that every pod serves, the one that only some do, and one that nobody has. */
export const models = { common: "common", rare: "rare", unknown: "unknown" } as const

const SESSIONS = 40
const SYSTEM_PROMPTS = 6
const SESSION_TOKENS_MAX = 9000
const BANDS = [-1, 0, 0, 0, 5] as const
/** Up to this chance a client sets no limit of output tokens. */
const NO_LIMIT = 0.3
const FLOWS = ["a", "b", "c"] as const

/** Clients with conversations over a few system prompts, and some odd ones among them. */
export class Clients {
  private readonly random: SeededRandom
  private readonly sessions: Array<Session>
  private segmentsMade = 1000
  private requestsMade = 0

  constructor(random: SeededRandom) {
    this.random = random
    this.sessions = Array.from({ length: SESSIONS }, () => ({ segments: this.begin() }))
  }

  /** The next turn of some conversation. */
  next(): WorldRequest {
    const { random } = this
    const session = this.sessions[random.below(SESSIONS)]!
    if (tokensOf(session.segments) > SESSION_TOKENS_MAX) session.segments = this.begin()
    const isGiant = random.uniform() < 0.02
    session.segments = [...session.segments, this.segment(isGiant ? 17_000 : random.logNormal(400, 1, 20, 3000))]
    const outputTokens = random.logNormal(60, 1, 1, 400)
    const chance = random.uniform()
    const model = chance < 0.02 ? models.unknown : chance < 0.2 ? models.rare : models.common
    const made = this.make(session.segments, outputTokens, model, random.uniform() < 0.7, {
      priority: BANDS[random.below(BANDS.length)]!,
      flow: FLOWS[random.below(FLOWS.length)]!,
      waitMaxS: random.uniform() < 0.1 ? random.between(0.05, 3) : undefined
    })
    session.segments = [...session.segments, this.segment(outputTokens)]
    return made
  }

  /** One of many that are all alike but for their band and flow, with nothing in common that a cache could use. */
  alike(priority: number, flow: string): WorldRequest {
    const wish = { priority, flow, waitMaxS: undefined }
    return this.make([this.segment(3000)], 20, models.common, true, wish, NO_LIMIT)
  }

  private begin(): Array<Segment> {
    const id = this.random.below(SYSTEM_PROMPTS)
    return [{ id, tokens: 300 + 500 * id }]
  }

  private segment(tokens: number): Segment {
    return { id: this.segmentsMade++, tokens }
  }

  private make(
    segments: ReadonlyArray<Segment>,
    outputTokens: number,
    model: string,
    streams: boolean,
    wish: { readonly priority: number; readonly flow: string; readonly waitMaxS: number | undefined },
    limit = this.random.uniform()
  ): WorldRequest {
    const { random } = this
    const promptTokens = tokensOf(segments)
    // A completion without a limit would end after 16 tokens.
    const kind = limit <= NO_LIMIT || random.uniform() < 0.5 ? "chat" : "completions"
    const chains = new Map<number, ReturnType<typeof chainOf>>()
    const chain = (blockSizeTokens: number) => {
      const known = chains.get(blockSizeTokens)
      if (known !== undefined) return known
      const made = prefixOf(chainOf(segments, blockSizeTokens), promptTokens, blockSizeTokens)
      chains.set(blockSizeTokens, made)
      return made
    }
    return {
      number: this.requestsMade++,
      segments,
      promptTokens,
      outputTokens,
      kind,
      includesUsage: random.uniform() < 0.5,
      rescues: random.uniform() < 0.9,
      features: {
        model,
        promptTokens,
        outputTokensMax: limit <= NO_LIMIT ? undefined : limit < 0.6 ? 512 : outputTokens,
        generates: true,
        streams,
        chain,
        tokensPerBlock: (blockSizeTokens) => blockSizeTokens,
        sessionHash: 0,
        wish: { ...wish, bytes: 4 * promptTokens }
      }
    }
  }
}

/** The request as its client sends it. The prompt in it is short: which blocks it has is told the scheduler directly. */
export const httpRequest = (request: WorldRequest, prompt: ReadonlyArray<number>, signal: AbortSignal): Request => {
  const { features: { model, outputTokensMax, streams, wish }, includesUsage, kind, number, rescues } = request
  const body = JSON.stringify({
    model,
    ...(kind === "chat" ? { messages: [{ role: "user", content: `${number}` }] } : { prompt }),
    seed: number,
    max_tokens: outputTokensMax,
    ...(streams ? { stream: true } : {}),
    ...(streams && includesUsage ? { stream_options: { include_usage: true } } : {})
  })
  const headers: Record<string, string> = {
    "content-length": `${body.length}`,
    "x-request-id": `${number}`,
    "x-warmroute-priority": `${wish?.priority ?? 0}`,
    "x-llm-d-inference-fairness-id": wish?.flow ?? ""
  }
  if (wish?.waitMaxS !== undefined) headers["x-warmroute-deadline-ms"] = `${1000 * wish.waitMaxS}`
  if (!rescues) headers["x-warmroute-rescue"] = "off"
  return new Request(`http://world${pathOf(kind)}`, { method: "POST", headers, body, signal })
}

export const pathOf = (kind: WorldRequest["kind"]): string =>
  kind === "chat" ? "/v1/chat/completions" : "/v1/completions"
