import { mkdirSync, readdirSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { flags, repositoryRoot } from "./Process.ts"

/** What a bench sets of a gateway; the rest is as it ships. */
export interface WarmrouteSettings {
  readonly port: number
  readonly podPorts: ReadonlyArray<number>
  /** Hardware preset of the pods. */
  readonly preset: string
  /** Where its configuration and its snapshot lie. */
  readonly directory: string
  /** Time between two snapshots, as the configuration spells it. */
  readonly snapshotInterval: string
  /** Where Envoy asks for pods; undefined: nowhere. */
  readonly pickerPort?: number
}

const SNAPSHOT = "snapshot.sqlite"

/** What the gateway logs when it starts without the snapshot, or without a part of it. */
export const STARTED_COLD = /set aside|damaged|start(s|ing)? cold|cold start/i

const command = (name: string): ReadonlyArray<string> => [
  process.execPath,
  join(repositoryRoot, "src/cli/main.ts"),
  name
]

/** Writes the settings to the file and gives the command that serves with them. */
export const serveWith = (file: string, settings: object): ReadonlyArray<string> => {
  mkdirSync(dirname(file), { recursive: true })
  // JSON is YAML.
  writeFileSync(file, JSON.stringify(settings))
  return [...command("serve"), ...flags({ config: file })]
}

/** The command of a gateway as it ships. */
export const serveArgv = (settings: WarmrouteSettings): ReadonlyArray<string> =>
  serveWith(join(settings.directory, "gateway.yaml"), {
    listen: { hostname: "127.0.0.1", port: settings.port },
    admin: { enabled: false },
    pods: settings.podPorts.map((port) => ({ url: `http://127.0.0.1:${port}` })),
    policy: { type: "marginal-cost" },
    hardware: { preset: settings.preset },
    // Nobody balances load over a benched gateway.
    limits: { shutdownDelay: "1 millis" },
    snapshot: { path: SNAPSHOT, interval: settings.snapshotInterval },
    ...(settings.pickerPort === undefined
      ? {}
      : { extproc: { listen: { hostname: "127.0.0.1", port: settings.pickerPort } } })
  })

/** The snapshot and its journals. */
export const snapshotFiles = (directory: string): ReadonlyArray<string> =>
  readdirSync(directory).filter((file) => file.startsWith(SNAPSHOT)).map((file) => join(directory, file))

/** `pods` emulated pods on `port` and the ports after it. */
export const emulateArgv = (pods: number, port: number, hardware: string, speed: number): ReadonlyArray<string> => [
  ...command("emulate"),
  ...flags({ pods, port, hardware, speed })
]
