import type { PodBlob, SnapshotFileOptions } from "../../src/storage/SnapshotFile.ts"

export const fileOptions = (path: string): SnapshotFileOptions => ({
  path,
  blobBytesMax: 10_000_000,
  podsMax: 1000,
  fileBytesMax: 1_000_000_000,
  busyTimeoutMs: 5000,
  damagedKeptMax: 3
})

/** Records of 20 pods that all carry one number, so that a mix of two shows. */
export const generation = (number: number): ReadonlyArray<PodBlob> =>
  Array.from({ length: 20 }, (_, pod) => ({
    id: `pod-${pod}:8000`,
    savedAtMs: number,
    body: new Uint8Array(30_000).fill(number % 256)
  }))
