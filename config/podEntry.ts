import { Either, Schema } from "effect"
import { type PodAddress, podAddressFromUrl, podUrl } from "../src/core/Pod.ts"
import { PresetName } from "./hardware.ts"
import { perhaps, reading } from "./schemaParts.ts"

/** `10.0.0.7:8000`, `[::1]:8000`, `vllm-0:8000`: a pod written without its scheme. */
const bareAuthority = /^(\[[0-9a-f:.]+\]|[\w.-]+):\d+$/i

const Url = Schema.String.pipe(
  Schema.filter((text) => {
    const read = podAddressFromUrl(withScheme(text))
    return typeof read === "string" ? read : true
  })
)

const withScheme = (text: string): string => bareAuthority.test(text) ? `http://${text}` : text

const Written = Schema.Struct({
  /** Origin of the pod, such as `http://10.0.0.7:8000`; without a scheme it is http. */
  url: Url,
  /** Hardware preset of this pod. Default: that of `hardware`. */
  preset: perhaps(PresetName)
})

/** One pod as an operator lists it. */
const PodEntry: Schema.Schema<PodAddress, typeof Written.Encoded> = reading(
  Written,
  ({ url, preset }) => {
    const read = podAddressFromUrl(withScheme(url), preset)
    return typeof read === "string" ? Either.left(read) : Either.right(read)
  },
  (address) => ({ url: podUrl(address), ...(address.preset === undefined ? {} : { preset: address.preset }) })
)

/** Pods in the order given; a pod that is there twice would count twice, so it is refused. */
export const PodList = Schema.Array(PodEntry).pipe(
  Schema.filter((pods) => {
    const first = new Map<string, number>()
    for (const [index, { id }] of pods.entries()) {
      const earlier = first.get(id)
      if (earlier !== undefined) {
        return { path: [index], message: `repeats ${id} of pods[${earlier}]; remove one of them` }
      }
      first.set(id, index)
    }
    return undefined
  })
)
