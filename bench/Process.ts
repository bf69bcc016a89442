import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import { dirname, join } from "node:path"

/** Everything a bench builds, installs or writes lies here; git ignores it. */
export const workDirectory = join(import.meta.dir, ".work")
export const repositoryRoot = dirname(import.meta.dir)

const cores = availableParallelism()
/** True when processes can be kept to one core each, so that the load does not take CPU from the gateway. */
export const canPin = cores >= 2 && Bun.which("taskset") !== null

/** The command kept to one core, or as it is where cores can't be chosen. */
export const pinned = (core: number, argv: ReadonlyArray<string>): ReadonlyArray<string> =>
  canPin ? ["taskset", "-c", String(core), ...argv] : argv

/** The command on any core, even when this process is kept to one. */
export const anywhere = (argv: ReadonlyArray<string>): ReadonlyArray<string> =>
  canPin ? ["taskset", "-c", `0-${cores - 1}`, ...argv] : argv

/** `{ port: 1 }` as `--port 1`. */
export const flags = (values: Readonly<Record<string, string | number>>): ReadonlyArray<string> =>
  Object.entries(values).flatMap(([name, value]) => [`--${name}`, String(value)])

export interface ProcessOptions {
  /** Name of the log file under `.work/logs`. */
  readonly name: string
  readonly argv: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>>
}

/** A child with its output in a log file. `taskset` and the Python launchers exec, so `pid` is the program's own. */
export class Process {
  readonly logFile: string
  readonly #child: Bun.Subprocess
  readonly #log: number

  constructor(options: ProcessOptions) {
    this.logFile = join(workDirectory, "logs", `${options.name}.log`)
    mkdirSync(dirname(this.logFile), { recursive: true })
    this.#log = openSync(this.logFile, "w")
    this.#child = Bun.spawn([...options.argv], {
      cwd: repositoryRoot,
      env: { ...process.env, ...options.env },
      stdin: "ignore",
      stdout: this.#log,
      stderr: this.#log
    })
  }

  get pid(): number {
    return this.#child.pid
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  get exited(): Promise<number> {
    return this.#child.exited
  }

  kill(signal: NodeJS.Signals): void {
    if (this.running) this.#child.kill(signal)
  }

  /** Asks it to stop and waits; insists after `graceS`. Says whether it stopped on its own. */
  async stop(graceS = 10): Promise<boolean> {
    this.kill("SIGTERM")
    const inTime = await Promise.race([this.exited.then(() => true), Bun.sleep(graceS * 1000).then(() => false)])
    if (!inTime) this.kill("SIGKILL")
    await this.exited
    closeSync(this.#log)
    return inTime
  }

  /** The end of its log, for an error message. */
  logTail(lines = 8): string {
    return readFileSync(this.logFile, "utf8").trimEnd().split("\n").slice(-lines).join("\n")
  }
}

/** Polls until `url` answers 200 with `text` in its body; the reason it never did, otherwise. */
export const untilAnswers = async (
  child: Process,
  url: string,
  text: string,
  timeoutS: number
): Promise<string | undefined> => {
  const deadline = performance.now() + timeoutS * 1000
  while (performance.now() < deadline) {
    if (!child.running) return `it stopped while starting:\n${child.logTail()}`
    try {
      const answer = await fetch(url, { signal: AbortSignal.timeout(2000) })
      const body = await answer.text()
      if (answer.status === 200 && body.includes(text)) return undefined
    } catch {
      // Not listening yet.
    }
    await Bun.sleep(20)
  }
  return `no answer with "${text}" from ${url} in ${timeoutS} s:\n${child.logTail()}`
}

/** Runs a command to its end; its stdout, or an error with what it printed. */
export const output = async (argv: ReadonlyArray<string>, cwd = repositoryRoot): Promise<string> => {
  const child = Bun.spawn([...argv], { cwd, stdin: "ignore", stdout: "pipe", stderr: "pipe" })
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited
  ])
  if (code !== 0) throw new Error(`${argv.join(" ")} ended with ${code}:\n${stderr.trim() || stdout.trim()}`)
  return stdout
}

/** A port that was free a moment ago. */
export const freePort = (): number => {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => {} } })
  const { port } = listener
  listener.stop(true)
  return port
}
