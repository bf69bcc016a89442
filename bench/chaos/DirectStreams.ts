import { ChaosClient } from "./ChaosClient.ts"
import { sendLoad } from "./load.ts"
import type { KnownQuestion } from "./requests.ts"
import type { RequestRecord } from "./tally.ts"

/** To each pod; a stream takes about a second, so that one is nearly always open somewhere. */
const RATE_PER_S = 0.5

/** Streams asked of each pod past the gateway while it is under load: what stalls here is the pods, the client, the machine. */
export class DirectStreams {
  readonly records: Array<RequestRecord> = []
  readonly #clients: ReadonlyArray<ChaosClient>
  readonly #questions: ReadonlyArray<KnownQuestion>

  constructor(ports: ReadonlyArray<number>, questions: ReadonlyArray<KnownQuestion>) {
    this.#clients = ports.map((port) => new ChaosClient(port))
    this.#questions = questions.filter(({ asked }) => asked.isStream)
  }

  /** `phase` keeps the users of one call from those of another. */
  async ask(phase: string, durationS: number): Promise<void> {
    await Promise.all(this.#clients.map(async (client, pod) => {
      const name = `direct-${phase}-${pod}`
      const load = { client, questions: this.#questions, ratePerS: RATE_PER_S, durationS, name, leaveEvery: 0 }
      this.records.push(...await sendLoad(load))
    }))
  }

  close(): void {
    for (const client of this.#clients) client.close()
  }
}
