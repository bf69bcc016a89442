import { median } from "./median.ts"

const SAMPLE_EVERY_MS = 250

/**
 * Resident memory in the second half of a load, the median: with a collector it goes up and down by a fifth and more in
 * half a minute, so that a single look says when it was taken rather than how much is used.
 */
export const usualRssMb = async (
  gateway: { readonly rssMb: number },
  load: () => Promise<unknown>
): Promise<number> => {
  const samples: Array<number> = []
  const timer = setInterval(() => samples.push(gateway.rssMb), SAMPLE_EVERY_MS)
  try {
    await load()
  } finally {
    clearInterval(timer)
  }
  return median(samples.slice(samples.length >> 1))
}
