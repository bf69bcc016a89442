import type { PoolView } from "../../../actors/PoolView.ts"
import type { PodAddress } from "../../core/Pod.ts"

/** Tokens of prompt and answer together that the model's card of a pod allows; undefined when it does not say. */
export const maxModelLenOf = (pool: PoolView, { id }: PodAddress, model: string): number | undefined => {
  const cards = pool.pods().find((pod) => pod.address.id === id)?.models ?? []
  const length = (cards.find((card) => card.id === model) ?? cards[0])?.["max_model_len"]
  return typeof length === "number" ? length : undefined
}
