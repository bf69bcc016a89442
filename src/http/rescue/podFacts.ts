import type { PoolView } from "../../../actors/PoolView.ts"
import type { PodAddress } from "../../core/Pod.ts"

/** Tokens of prompt and answer together that the model's card of a pod allows; undefined when it does not say. */
export const maxModelLenOf = (pool: PoolView, { id }: PodAddress, model: string): number | undefined => {
  const cards = pool.pods().find((pod) => pod.address.id === id)?.models ?? []
  const length = (cards.find((card) => card.id === model) ?? cards[0])?.["max_model_len"]
  return typeof length === "number" ? length : undefined
}

/** Older versions leave out tokens that a reasoning parser swallowed: vllm-project/vllm issue 27482. */
const wholeSince = [0, 32]

/** Every token of a chat is told, those without a word in the answer too. */
export const tellsEveryToken = (pool: PoolView, { id }: PodAddress): boolean => {
  const version = pool.pods().find((pod) => pod.address.id === id)?.version ?? ""
  const [major = 0, minor = 0] = version.split(".").map(Number)
  const [wholeMajor = 0, wholeMinor = 0] = wholeSince
  return major > wholeMajor || (major === wholeMajor && minor >= wholeMinor)
}
