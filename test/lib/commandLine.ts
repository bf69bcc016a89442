import { repoDir } from "./sourceFiles.ts"

const bun = process.execPath

/** Settings of whoever runs the tests must not leak into what is tested, and gateways must not meet on a port. */
const cleanEnvironment = (): Record<string, string> => ({
  ...Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) =>
      value === undefined || name.startsWith("WARMROUTE_") ? [] : [[name, value]]
    )
  ),
  WARMROUTE_ADMIN_PORT: "0"
})

const textOf = (stream: ReadableStream): Promise<string> => new Response(stream).text()

export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs `warmroute ARGS` to its end. */
export const warmroute = async (
  args: ReadonlyArray<string>,
  environment: Record<string, string> = {}
): Promise<Ran> => {
  const process = Bun.spawn([bun, "src/cli/main.ts", ...args], {
    cwd: repoDir,
    env: { ...cleanEnvironment(), ...environment },
    stdout: "pipe",
    stderr: "pipe"
  })
  const [stdout, stderr] = await Promise.all([textOf(process.stdout), textOf(process.stderr)])
  return { code: await process.exited, stdout, stderr }
}

export interface Running {
  readonly pid: number
  /** Resolves with everything printed so far, once it holds the text; rejects when the process ends without it. */
  readonly printed: (text: string) => Promise<string>
  readonly signal: (signal: "SIGHUP" | "SIGINT" | "SIGTERM") => void
  readonly ended: Promise<Ran>
}

/** Starts a command that stays; `command` replaces the plain `bun src/cli/main.ts`. */
export const startWarmroute = (
  args: ReadonlyArray<string>,
  environment: Record<string, string> = {},
  command: ReadonlyArray<string> = [bun, "src/cli/main.ts"]
): Running => {
  const process = Bun.spawn([...command, ...args], {
    cwd: repoDir,
    env: { ...cleanEnvironment(), ...environment },
    stdout: "pipe",
    stderr: "pipe"
  })
  let stdout = ""
  let stderr = ""
  let over = false
  const waiting = new Set<() => void>()
  const wake = () => waiting.forEach((look) => look())
  const read = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>, take: (text: string) => void) => {
    const reader = stream.pipeThrough(new TextDecoderStream()).getReader()
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
      take(piece.value)
      wake()
    }
  }
  const reading = Promise.all([
    read(process.stdout, (text) => stdout += text),
    read(process.stderr, (text) => stderr += text)
  ])
  const ended = reading.then(async () => {
    over = true
    wake()
    return { code: await process.exited, stdout, stderr }
  })
  return {
    pid: process.pid,
    printed: (text) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const all = stdout + stderr
          if (all.includes(text)) resolve(all)
          else if (over) void ended.then((ran) => reject(new Error(`never printed ${text}: ${JSON.stringify(ran)}`)))
          else return
          waiting.delete(look)
        }
        waiting.add(look)
        look()
      }),
    signal: (signal) => process.kill(signal),
    ended
  }
}
