/** Argument 1: URL of the API server; argument 2: seconds. Follows an InferencePool and prints what that took. */
import { Effect, Logger, Stream } from "effect"
import { readFileSync } from "node:fs"
import { PoolRules } from "../../src/core/PoolRules.ts"
import { kubernetesDefaults, kubernetesDiscovery } from "../../src/discovery/kubernetes/kubernetes.ts"
import { tlsFile } from "../../test/discovery/kubernetes/ApiServer.ts"
import type { FollowerUse } from "../kubernetes.ts"

const [url = "", seconds = "60"] = process.argv.slice(2)
const ca = readFileSync(tlsFile("ca.crt"), "utf8")
const discovery = kubernetesDiscovery({
  ...kubernetesDefaults,
  readAccess: () =>
    Promise.resolve({
      server: url,
      namespace: "default",
      token: "secret",
      tls: { ca, cert: undefined, key: undefined, serverName: undefined, insecure: false }
    }),
  namespace: undefined,
  target: { pool: "vllm" },
  rules: new PoolRules(),
  tls: false
})

let sets = 0
let pods = 0
let start = { atMs: 0, cpu: process.cpuUsage() }
await Effect.runPromise(
  Stream.runForEach(discovery.addresses, (addresses) =>
    Effect.sync(() => {
      pods = addresses.length
      if (sets++ === 0) start = { atMs: performance.now(), cpu: process.cpuUsage() }
    })).pipe(Effect.timeoutOption(Number(seconds) * 1000), Effect.provide(Logger.remove(Logger.defaultLogger)))
)
const tookMs = performance.now() - start.atMs
const { system, user } = process.cpuUsage(start.cpu)
const use: FollowerUse = {
  pods,
  setsPerSecond: Math.round((sets / tookMs) * 10_000) / 10,
  corePercent: Math.round(((system + user) / 1000 / tookMs) * 1000) / 10,
  rssMb: Math.round(process.memoryUsage.rss() / 1024 / 1024)
}
console.log(JSON.stringify(use))
process.exit(0)
