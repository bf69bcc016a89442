import { expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { type PodAddress, podAddress } from "../../src/core/Pod.ts"
import { isNamed, nameInToken } from "../../src/core/sessionToken.ts"

const pods: ReadonlyArray<PodAddress> = [undefined, "ns/a", "ns/a-rank-1", "ns/a1", ""].flatMap((name) =>
  [undefined, 0, 1, 10].map((rank) =>
    Object.assign(
      podAddress("10.0.0.1", 8000, false),
      name === undefined ? {} : { name },
      rank === undefined ? {} : { rank }
    )
  )
)

const nameArb = fc.oneof(
  fc.constantFrom(...pods).map(nameInToken),
  fc.tuple(fc.constantFrom("ns/a", "ns/a1", "ns", ""), fc.constantFrom("", "-rank-", "-rank-0", "-rank-01", "-rank-1x"))
    .map(([name, end]) => name + end)
)

test("a pod has the name that its token holds, and that name with rank 0 when it is a pod of one port, and no other", () => {
  fc.assert(fc.property(fc.constantFrom(...pods), nameArb, (pod, name) => {
    const asOnlyPort = pod.name !== undefined && pod.rank === undefined && name === `${pod.name}-rank-0`
    expect(isNamed(pod, name)).toBe(name === nameInToken(pod) || asOnlyPort)
  }))
})
