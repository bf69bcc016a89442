import { expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import type { BlockChain } from "../../../src/core/BlockChain.ts"
import { PrefixIndex } from "../../../src/core/prefix/PrefixIndex.ts"
import { ShadowKv } from "../../../src/core/prefix/ShadowKv.ts"

/** Hashes out of a handful, so that they repeat within a chain and stand at many places of many chains. */
const chainArbitrary = fc.array(fc.integer({ min: 1, max: 7 }), { maxLength: 90 }).map((hashes): BlockChain => ({
  low: Uint32Array.from(hashes, (hash) => Math.imul(hash, 2_654_435_761)),
  high: Uint32Array.from(hashes, (hash) => Math.imul(hash, 2_246_822_519)),
  length: hashes.length
}))

const step = fc.record({
  kind: fc.constantFrom("admit", "admit", "admit", "prefilled", "release", "resize", "clear", "restore"),
  shadow: fc.nat(1),
  which: fc.nat(1000),
  chain: chainArbitrary
})

interface Open {
  readonly shadow: ShadowKv
  readonly lease: number
  readonly chain: BlockChain
}

test("colliding hashes cost hits, never a hang, a wrong count or a block that stays for ever", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const index = new PrefixIndex({ rowsMax: 2, entriesMax: 1000 })
      const shadows = [new ShadowKv(0, index, 60), new ShadowKv(1, index, 60)]
      const open: Array<Open> = []
      const hits = new Uint32Array(2)
      steps.forEach(({ chain, kind, shadow: number, which }, nowS) => {
        const shadow = shadows[number] ?? new ShadowKv(0, index, 0)
        const at = open.length === 0 ? -1 : which % open.length
        const request = open[at]
        if (kind === "admit") open.push({ shadow, lease: shadow.admit(chain, 1, nowS), chain })
        else if (kind === "prefilled") request?.shadow.prefilled(request.lease, request.chain, nowS)
        else if (kind === "release") {
          request?.shadow.release(request.lease, which % 2 === 0, which % 9, nowS)
          if (at >= 0) open.splice(at, 1)
        } else if (kind === "resize") shadow.resize(30 + (which % 60))
        else if (kind === "clear") shadow.clear()
        else shadow.importBlocks(shadow.exportBlocks())
        index.match(chain, Uint32Array.of(3), hits)
        for (const row of [0, 1]) expect(hits[row]).toBeLessThanOrEqual(chain.length)
        expect(shadow.matchBlocks(chain)).toBeLessThanOrEqual(chain.length)
      })
      for (const { lease, shadow } of open) shadow.release(lease, true, 0, steps.length)
      for (const shadow of shadows) {
        expect(shadow.usedBlocks).toBe(0)
        expect(shadow.cachedBlocks).toBeLessThanOrEqual(shadow.capacityBlocks)
        shadow.clear()
        expect(shadow.cachedBlocks).toBe(0)
      }
      expect(index.entryCount).toBe(0)
    }),
    { numRuns: 300 }
  )
})
