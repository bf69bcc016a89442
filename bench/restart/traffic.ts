/** What the pods said about one or more answers: how much of the prompts they had in their KV cache. */
export interface HitCount {
  readonly promptTokens: number
  readonly cachedTokens: number
}

export const hitRate = (counts: ReadonlyArray<HitCount>): number => {
  const prompt = counts.reduce((sum, count) => sum + count.promptTokens, 0)
  return prompt === 0 ? 0 : counts.reduce((sum, count) => sum + count.cachedTokens, 0) / prompt
}

/** An answer and when it came, in milliseconds of `performance.now()`. */
interface TimedHit extends HitCount {
  readonly atMs: number
}

const WORDS = "model cache token block prefix warm route pod queue batch weight layer stream answer question table " +
  "river stone winter garden letter engine signal number window paper silver market"

/** A text that differs from every other group's from its first words on. */
const prefixText = (group: number, bytes: number): string => {
  const words = WORDS.split(" ")
  let state = group + 1
  let text = `Document ${group}:`
  while (text.length < bytes) {
    // Knuth's 32-bit linear congruential step is enough to keep the groups apart.
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    text += ` ${words[state % words.length]}${state % 997}`
  }
  return text.slice(0, bytes)
}

interface Usage {
  readonly prompt_tokens?: number
  readonly prompt_tokens_details?: { readonly cached_tokens?: number } | null
}

/** Chat requests with one of a fixed set of long prefixes and a question of their own. */
export class Traffic {
  readonly #url: string
  readonly #model: string
  readonly #prefixes: ReadonlyArray<string>
  #asked = 0

  constructor(url: string, model: string, prefixes: number, prefixBytes: number) {
    this.#url = `${url}/v1/chat/completions`
    this.#model = model
    this.#prefixes = Array.from({ length: prefixes }, (_, group) => prefixText(group, prefixBytes))
  }

  /** Every prefix once, so that each is somewhere. */
  pass(concurrency: number): Promise<ReadonlyArray<TimedHit>> {
    return this.#many(this.#prefixes.map((_, group) => group), concurrency)
  }

  /** `count` requests with prefixes at random. Throws when one fails. */
  burst(count: number, concurrency: number): Promise<ReadonlyArray<TimedHit>> {
    const groups = Array.from({ length: count }, () => Math.floor(Math.random() * this.#prefixes.length))
    return this.#many(groups, concurrency)
  }

  /** Keeps `concurrency` requests going until aborted, whatever becomes of each; says how many were answered. */
  async press(concurrency: number, signal: AbortSignal): Promise<number> {
    let answered = 0
    const one = async () => {
      while (!signal.aborted) {
        try {
          await this.#ask(Math.floor(Math.random() * this.#prefixes.length), signal)
          answered++
        } catch {
          // The gateway is down between a kill and the next start.
          await Bun.sleep(20)
        }
      }
    }
    await Promise.all(Array.from({ length: concurrency }, one))
    return answered
  }

  async #many(groups: ReadonlyArray<number>, concurrency: number): Promise<ReadonlyArray<TimedHit>> {
    const hits: Array<TimedHit> = []
    let next = 0
    const one = async () => {
      for (let group = groups[next++]; group !== undefined; group = groups[next++]) hits.push(await this.#ask(group))
    }
    await Promise.all(Array.from({ length: concurrency }, one))
    return hits
  }

  async #ask(group: number, signal?: AbortSignal): Promise<TimedHit> {
    const timeout = AbortSignal.timeout(30_000)
    const answer = await fetch(this.#url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        model: this.#model,
        messages: [
          { role: "system", content: this.#prefixes[group] },
          { role: "user", content: `Question ${this.#asked++} of ${Date.now()}: what does it say?` }
        ],
        max_tokens: 4
      }),
      signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout])
    })
    if (answer.status !== 200) throw new Error(`status ${answer.status}: ${(await answer.text()).slice(0, 300)}`)
    const { usage } = await answer.json() as { usage?: Usage }
    return {
      promptTokens: usage?.prompt_tokens ?? 0,
      cachedTokens: usage?.prompt_tokens_details?.cached_tokens ?? 0,
      atMs: performance.now()
    }
  }
}

/** When the hit rate over the last `window` answers first reached `rate`; undefined when it never did. */
export const reachedAtMs = (hits: ReadonlyArray<TimedHit>, rate: number, window: number): number | undefined => {
  for (let end = window; end <= hits.length; end++) {
    if (hitRate(hits.slice(end - window, end)) >= rate) return hits[end - 1]?.atMs
  }
  return undefined
}
