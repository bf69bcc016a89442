import { startEmulatedPod } from "../../src/emulator/EmulatedPod.ts"
import { ChaosClient } from "./ChaosClient.ts"
import { FaultFront } from "./FaultFront.ts"
import { questions } from "./requests.ts"

type PodOptions = Parameters<typeof startEmulatedPod>[0]

const AT_ONCE = 16
const ROUNDS = 8
/** The clock of its engine runs that much faster than ours. */
const SPEED = 20

/**
 * Has the code of a pod compiled, by another one in this process: compiling takes the core from everybody for tens of
 * milliseconds, and a pod that is back meets more requests at once than it will ever meet again.
 */
export const warmUp = async (options: PodOptions): Promise<void> => {
  const pod = startEmulatedPod({ ...options, speed: SPEED })
  const front = new FaultFront({ port: 0, podPort: pod.port, onRequest: () => {}, onAnswered: () => {} })
  const client = new ChaosClient(front.port)
  for (let round = 0; round < ROUNDS; round++) {
    const asked = questions.slice(round * AT_ONCE, (round + 1) * AT_ONCE)
    const expected = { text: "", outputTokens: 0 }
    await Promise.all(asked.map((question) => client.ask({ asked: question, expected }, "warm-up")))
  }
  client.close()
  front.stop()
  await pod.stop()
}
