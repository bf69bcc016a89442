import { readFileSync } from "node:fs"
import { benchMs } from "./lateness.ts"

interface Sample {
  readonly atMs: number
  readonly ranMs: number
  readonly waitedMs: number
}

/** What a process did in some time. */
export interface CoreUse {
  /** Its main thread ran. */
  readonly ranMs: number
  /** It wanted to and another thread had the core. */
  readonly waitedMs: number
}

const EVERY_MS = 20
const NS_PER_MS = 1e6

/** How the main thread of a process, which may be another one after a restart, got its core. Call `stop` in the end. */
export class CoreTime {
  readonly #samples: Array<Sample> = []
  readonly #timer: Timer

  constructor(pid: () => number) {
    this.#timer = setInterval(() => {
      const sample = read(pid())
      if (sample !== undefined) this.#samples.push(sample)
    }, EVERY_MS)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** To the twenty milliseconds. */
  between(startMs: number, endMs: number): CoreUse {
    const before = this.#samples.findLast(({ atMs }) => atMs <= startMs)
    const after = this.#samples.find(({ atMs }) => atMs >= endMs)
    if (before === undefined || after === undefined) return { ranMs: 0, waitedMs: 0 }
    return {
      ranMs: Math.max(0, after.ranMs - before.ranMs),
      waitedMs: Math.max(0, after.waitedMs - before.waitedMs)
    }
  }
}

const read = (pid: number): Sample | undefined => {
  try {
    const [ran = 0, waited = 0] = readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ").map(Number)
    return { atMs: benchMs(), ranMs: ran / NS_PER_MS, waitedMs: waited / NS_PER_MS }
  } catch {
    // Between its kill and its restart there is none.
    return undefined
  }
}
