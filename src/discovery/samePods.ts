import { type PodAddress, samePodLabels } from "../core/Pod.ts"

/** True when both list the same pods in the same order, told alike in all that anybody reads. */
export const samePods = (one: ReadonlyArray<PodAddress>, other: ReadonlyArray<PodAddress>): boolean =>
  one.length === other.length && one.every((pod, index) => {
    const twin = other[index]
    return pod.id === twin?.id && pod.tls === twin.tls && pod.preset === twin.preset &&
      pod.name === twin.name && pod.rank === twin.rank && samePodLabels(pod.labels, twin.labels)
  })
