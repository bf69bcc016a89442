import type { ChaosClient } from "./ChaosClient.ts"
import type { KnownQuestion } from "./requests.ts"
import type { RequestRecord } from "./tally.ts"

export interface LoadOptions {
  readonly client: ChaosClient
  readonly questions: ReadonlyArray<KnownQuestion>
  readonly ratePerS: number
  readonly durationS: number
  /** Begins the name of every user, so that runs can be told apart. */
  readonly name: string
  /** Every so many requests one is left by its client in the middle; 0: none. */
  readonly leaveEvery: number
}

const TICK_MS = 5

/**
 * Sends at a fixed rate whatever becomes of the answers, and waits for the last of them. Gives the records of the
 * requests whose client stayed to the end.
 */
export const sendLoad = async (options: LoadOptions): Promise<ReadonlyArray<RequestRecord>> => {
  const { client, durationS, leaveEvery, name, questions, ratePerS } = options
  const pending: Array<Promise<RequestRecord>> = []
  const left: Array<Promise<RequestRecord>> = []
  const total = Math.round(ratePerS * durationS)
  const startMs = performance.now()
  let sent = 0
  while (sent < total) {
    await Bun.sleep(TICK_MS)
    const due = Math.min(total, Math.ceil(((performance.now() - startMs) / 1000) * ratePerS))
    for (; sent < due; sent++) {
      // A multiplicative step visits the questions in an order that is neither sorted nor random between runs.
      const asked = questions[(sent * 101) % questions.length]!
      const leaves = leaveEvery > 0 && sent % leaveEvery === leaveEvery - 1
      const user = `${name}-${sent}`
      if (leaves) left.push(client.ask(asked, user, 20 + (sent % 300)))
      else pending.push(client.ask(asked, user))
    }
  }
  await Promise.all(left)
  return Promise.all(pending)
}
