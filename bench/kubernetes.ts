import { join } from "node:path"
import type { BenchOptions } from "./Bench.ts"
import type { Flags } from "./flags.ts"

export const name = "kubernetes"
export const claim = "following 1,000 pods of a cluster at 50 changes/s takes <= 5 % of a core and <= 150 MB"

export const flags: Flags = {}

/** What the follower's process used; `window` is the part that is measured, after the first list. */
export interface FollowerUse {
  readonly pods: number
  readonly setsPerSecond: number
  readonly corePercent: number
  readonly rssMb: number
}

const script = (file: string): string => join(import.meta.dir, "kubernetes", file)

/** An API server in one process changes pods, and a second process follows them as the gateway does. */
export const run = async (options: BenchOptions): Promise<object> => {
  const seconds = options.quick ? 5 : 60
  const [pods, changesPerSecond] = [1000, 50]
  const server = Bun.spawn(["bun", script("churningCluster.ts"), String(pods), String(changesPerSecond)], {
    stdout: "pipe",
    stderr: "inherit"
  })
  try {
    const url = await firstLine(server.stdout)
    options.progress(`${pods} pods at ${url}, ${changesPerSecond} changes/s, ${seconds} s`)
    const follower = Bun.spawn(["bun", script("follower.ts"), url, String(seconds)], {
      stdout: "pipe",
      stderr: "inherit"
    })
    const used = JSON.parse(await firstLine(follower.stdout)) as FollowerUse
    await follower.exited
    return { changesPerSecond, seconds, ...used }
  } finally {
    server.kill()
    await server.exited
  }
}

const firstLine = async (output: ReadableStream<Uint8Array>): Promise<string> => {
  const reader = output.getReader()
  let text = ""
  while (!text.includes("\n")) {
    const { done, value } = await reader.read()
    if (done) throw new Error(`a process of the bench ended early: ${text}`)
    text += new TextDecoder().decode(value)
  }
  return text.slice(0, text.indexOf("\n"))
}
