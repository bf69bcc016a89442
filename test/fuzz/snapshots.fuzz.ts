import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { anonymousBlock, decodeSketch, encodeSketch, type SketchBlocks } from "../../src/core/prefix/sketchFormat.ts"
import { packMeta, packPod, unpackMeta, unpackPod } from "../../src/storage/snapshotBlob.ts"
import { SnapshotFile } from "../../src/storage/SnapshotFile.ts"
import { fileOptions, generation } from "../storage/generations.ts"
import { withDirectory } from "../storage/snapshots.ts"
import { hostileBytes, inheritedNames, plan, propertyTimeoutMs } from "./fuzz.ts"

const blocksMax = 64

/** Any columns at all, as a forger with the right checksum could write them. */
const forgedBlocks: fc.Arbitrary<SketchBlocks> = fc.array(
  fc.record({
    low: fc.nat(0xffff_ffff),
    high: fc.nat(0xffff_ffff),
    parent: fc.integer({ min: -3, max: 80 }),
    ageS: fc.oneof(fc.constantFrom(0, 1, -1, Number.NaN, Number.POSITIVE_INFINITY), fc.float())
  }),
  { maxLength: 80 }
).map((blocks) => ({
  length: blocks.length,
  low: Uint32Array.from(blocks, ({ low }) => low),
  high: Uint32Array.from(blocks, ({ high }) => high),
  parent: Int32Array.from(blocks, ({ parent }) => parent),
  ageS: Float32Array.from(blocks, ({ ageS }) => ageS)
}))

/** Two prompts of one pod, as `encodeSketch` is meant to be used. */
const soundBlocks: SketchBlocks = {
  length: 5,
  low: Uint32Array.of(5, 4, 3, 2, 1),
  high: Uint32Array.of(50, 40, 30, 20, 10),
  parent: Int32Array.of(1, 2, -1, 4, -1),
  ageS: Float32Array.of(9, 9, 9, 2, 2)
}
const soundSketch = encodeSketch(soundBlocks)

const expectSound = (blocks: SketchBlocks | string): void => {
  if (typeof blocks === "string") return expect(blocks).not.toBe("")
  expect(blocks.length).toBeLessThanOrEqual(blocksMax)
  for (let i = 0; i < blocks.length; i++) {
    const parent = blocks.parent[i]!
    expect(parent < 0 || (parent > i && parent < blocks.length && blocks.parent[parent] !== anonymousBlock)).toBe(true)
    expect(blocks.ageS[i]! >= 0 && blocks.ageS[i]! < Number.POSITIVE_INFINITY).toBe(true)
  }
}

describe("a sketch of a pod's blocks", () => {
  test("is sound or refused with a reason, whatever its bytes are", () => {
    fc.assert(
      fc.property(
        hostileBytes([soundSketch], ["\0\0\0\0", "WRKV", "\u007f\u007f\u007f\u007f"]),
        (bytes) => expectSound(decodeSketch(bytes, blocksMax))
      ),
      plan("snapshots", 0.3)
    )
  }, propertyTimeoutMs)

  test("is sound or refused with a reason even when its checksum is right", () => {
    fc.assert(
      fc.property(forgedBlocks, (blocks) => expectSound(decodeSketch(encodeSketch(blocks), blocksMax))),
      plan("snapshots", 0.2)
    )
  }, propertyTimeoutMs)
})

const record = {
  id: "10.0.0.7:8000",
  savedAtMs: 1_700_000_000_000,
  sketch: { id: "10.0.0.7:8000", blockSizeTokens: 16, kvCapacityTokens: 1_000, blocks: soundSketch },
  lastState: { processStartS: 1.5, models: ["m"] }
}
/** Heads of MessagePack's longest types: lists, maps, texts, bytes and extensions. */
const heads = ["\u0000", ...inheritedNames]
const longHeads = [0xdd, 0xdf, 0xdb, 0xc6, 0xc9, 0xd4, 0xc7].map((type) => Uint8Array.of(type, 0x7f, 0xff, 0xff, 0xff))

describe("a record of a snapshot", () => {
  test("of a pod is that pod's or none", () => {
    const pod = packPod(record)
    const forged = [0, 20, 60].flatMap((at) =>
      longHeads.map((head) => Buffer.concat([pod.subarray(0, at), head, pod.subarray(at)]))
    )
    fc.assert(
      fc.property(hostileBytes([pod, pod, ...forged], heads), (bytes) => {
        const read = unpackPod(record.id, bytes)
        if (read === undefined) return
        expect(read.id).toBe(record.id)
        expect(Number.isFinite(read.savedAtMs)).toBe(true)
        expect(Number.isInteger(read.sketch.blockSizeTokens) && read.sketch.blockSizeTokens >= 0).toBe(true)
        expect(read.lastState.models.every((model) => typeof model === "string")).toBe(true)
        expectSound(decodeSketch(read.sketch.blocks, blocksMax))
      }),
      plan("snapshots", 0.35)
    )
  }, propertyTimeoutMs)

  test("of the gateway has lengths that are numbers, or is none", () => {
    const meta = packMeta({ outputTokensByModel: { a: 12, b: 0.5 } })
    fc.assert(
      fc.property(hostileBytes([meta], heads), (bytes) => {
        const lengths = Object.values(unpackMeta(bytes)?.outputTokensByModel ?? {})
        expect(lengths.every((length) => Number.isFinite(length) && length >= 0)).toBe(true)
      }),
      plan("snapshots", 0.15)
    )
  }, propertyTimeoutMs)
})

describe("a file of a snapshot", () => {
  test(
    "that is broken anywhere is read in part or not at all, and never taken for what was not written",
    () =>
      withDirectory((directory) => {
        const path = join(directory, "warm.sqlite")
        const file = new SnapshotFile(fileOptions(path))
        file.save(generation(7), Uint8Array.of(7))
        file.close()
        const sound = new Uint8Array(readFileSync(path))
        fc.assert(
          fc.property(hostileBytes([sound], ["\0", "SQLite format 3\0"]), (bytes) => {
            for (const suffix of ["-wal", "-shm", "-journal"]) rmSync(`${path}${suffix}`, { force: true })
            writeFileSync(path, bytes)
            const broken = new SnapshotFile(fileOptions(path))
            const { pods } = broken.load()
            for (const pod of pods) expect(generation(7)).toContainEqual(pod)
            for (const warning of broken.takeWarnings()) expect(warning.length).toBeGreaterThan(10)
            broken.close()
          }),
          plan("snapshotFiles")
        )
      }),
    propertyTimeoutMs
  )
})
