import { describe, expect, test } from "bun:test"
import { Duration } from "effect"
import { join } from "node:path"
import type { GatewayConfig } from "../../../config/GatewayConfig.ts"
import { objectivesPath, podsPath, poolsPath, rewritesPath, slicesPath } from "../../discovery/kubernetes/objects.ts"
import { loaded } from "../rendered.ts"
import { at, kustomized, type Manifest, manifests, theOnly } from "./kustomize.ts"
import { faultsOf } from "./schemas.ts"

const folders = ["standalone", "picker"] as const
const root = join(import.meta.dir, "../../../config/kubernetes")

const configOf = async (folder: string): Promise<GatewayConfig> => {
  const value = await loaded({ configPath: join(root, folder, "gateway.yaml") })
  if (typeof value === "string") throw new Error(value)
  expect(value.warnings).toEqual([])
  return value.config
}

const podOf = (objects: ReadonlyArray<Manifest>): unknown => at(theOnly(objects, "Deployment"), "spec.template")
const containerOf = (objects: ReadonlyArray<Manifest>): unknown => at(podOf(objects), "spec.containers.0")
const portsOf = (objects: ReadonlyArray<Manifest>): ReadonlyMap<unknown, unknown> =>
  new Map(
    (at(containerOf(objects), "ports") as ReadonlyArray<Manifest>).map((port) => [port["name"], port["containerPort"]])
  )

describe.each(
  [
    ["standalone", []],
    ["picker", []],
    ["standalone", ["persistent", "monitoring"]],
    ["picker", ["persistent", "monitoring"]]
  ] as const
)("%s with %p", (folder, components) => {
  test("is valid by the published schemas", async () => {
    const objects = await kustomized(folder, components)
    expect(objects.flatMap(faultsOf)).toEqual([])
    expect(objects.length).toBe(8 + components.length)
  })
})

test("the examples are valid by the published schemas", async () => {
  for (const file of ["inference-pool", "http-route", "rules"]) {
    expect((await manifests(`examples/${file}.yaml`)).flatMap(faultsOf)).toEqual([])
  }
})

test("a slip of the pen is not", async () => {
  const deployment = theOnly(await kustomized("picker"), "Deployment")
  const spec = at(deployment, "spec") as Manifest
  expect(faultsOf({ ...deployment, spec: { ...spec, replica: 2 } })).not.toEqual([])
  expect(faultsOf({ ...deployment, spec: { ...spec, replicas: "two" } })).not.toEqual([])
  const [pool] = await manifests("examples/inference-pool.yaml")
  const poolSpec = at(pool, "spec") as Manifest
  expect(faultsOf({ ...pool, spec: { ...poolSpec, targetPort: 8000 } })).not.toEqual([])
  expect(faultsOf({ ...pool, spec: { ...poolSpec, targetPorts: [] } })).not.toEqual([])
})

describe.each(folders)("%s", (folder) => {
  test("has a configuration that starts, on the ports that the container names", async () => {
    const config = await configOf(folder)
    const ports = portsOf(await kustomized(folder))
    expect(ports.get("http")).toBe(config.listen.port)
    expect(ports.get("grpc-ext-proc")).toBe(config.extproc.listen?.port)
    expect(ports.get("grpc-health")).toBe(config.extproc.healthPort)
    expect(config.discovery.kubernetes).toBeDefined()
  })

  test("runs without root, rights or a writable disk but its volume, where the snapshot is", async () => {
    const objects = await kustomized(folder)
    expect(at(podOf(objects), "spec.securityContext")).toMatchObject({ runAsNonRoot: true, runAsUser: 65532 })
    expect(at(containerOf(objects), "securityContext")).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] }
    })
    const mounts = at(containerOf(objects), "volumeMounts") as ReadonlyArray<Manifest>
    const writable = mounts.filter((mount) => mount["readOnly"] !== true).map((mount) => String(mount["mountPath"]))
    const { snapshot } = await configOf(folder)
    expect(writable.some((path) => snapshot.path.startsWith(`${path}/`))).toBe(true)
  })

  test("has time to drain before it is killed", async () => {
    const { limits: { shutdownDelay, shutdownGrace } } = await configOf(folder)
    const needS = Duration.toSeconds(Duration.sum(shutdownDelay, shutdownGrace))
    expect(at(podOf(await kustomized(folder)), "spec.terminationGracePeriodSeconds")).toBeGreaterThanOrEqual(needS + 5)
  })

  test("is asked whether it lives and whether it is ready", async () => {
    const container = containerOf(await kustomized(folder))
    const probes = ["startupProbe", "livenessProbe", "readinessProbe"].map((name) => at(container, name) as Manifest)
    expect(probes.map((probe) => probe["httpGet"] ?? probe["grpc"])).toEqual(
      folder === "picker"
        ? ["liveness", "liveness", "readiness"].map((service) => ({ port: 9003, service }))
        : ["/livez", "/livez", "/readyz"].map((path) => ({ path, port: "http" }))
    )
    expect(probes.every((probe) => (probe["httpGet"] === undefined) !== (probe["grpc"] === undefined))).toBe(true)
  })

  test("may list and watch what discovery asks for, and nothing else", async () => {
    const rules = at(theOnly(await kustomized(folder), "Role"), "rules") as ReadonlyArray<Manifest>
    expect(
      rules.flatMap((rule) => rule["verbs"] as ReadonlyArray<string>).filter((verb) => !/^(list|watch)$/.test(verb))
    )
      .toEqual([])
    const granted = rules.flatMap((rule) =>
      (rule["apiGroups"] as ReadonlyArray<string>).flatMap((group) =>
        (rule["resources"] as ReadonlyArray<string>).map((resource) => `${group}/${resource}`)
      )
    )
    const asked = [podsPath, slicesPath, poolsPath, objectivesPath, rewritesPath].map((path) => {
      const [, group = "", resource = ""] = path.match(/^\/(?:apis\/([^/]+)|api)\/.*\/([^/]+)$/) ?? []
      return `${group}/${resource}`
    })
    const old = ["inferenceobjectives", "inferencemodelrewrites"].map((name) => `inference.networking.x-k8s.io/${name}`)
    expect(granted.sort()).toEqual([...asked, ...old].sort())
  })

  test("is reached by its Service, its budget and its policies", async () => {
    const objects = await kustomized(folder, ["monitoring"])
    const labels = at(podOf(objects), "metadata.labels") as Manifest
    for (
      const [kind, path] of [
        ["Deployment", "spec.selector.matchLabels"],
        ["Service", "spec.selector"],
        ["PodDisruptionBudget", "spec.selector.matchLabels"],
        ["NetworkPolicy", "spec.podSelector.matchLabels"]
      ] as const
    ) expect(labels).toMatchObject(at(theOnly(objects, kind), path) as Manifest)
    const service = theOnly(objects, "Service")
    const ports = at(service, "spec.ports") as ReadonlyArray<Manifest>
    expect(ports.every((port) => portsOf(objects).has(port["targetPort"]))).toBe(true)
    const monitor = theOnly(objects, "ServiceMonitor")
    expect(at(service, "metadata.labels")).toMatchObject(at(monitor, "spec.selector.matchLabels") as Manifest)
    expect(ports.map((port) => port["name"])).toContain(at(monitor, "spec.endpoints.0.port"))
    const allowed = (at(theOnly(objects, "NetworkPolicy"), "spec.ingress") as ReadonlyArray<Manifest>)
      .flatMap((rule) => (rule["ports"] as ReadonlyArray<Manifest>).map((port) => port["port"]))
    const served = ports.map((port) => portsOf(objects).get(port["targetPort"]))
    expect(allowed.toSorted()).toEqual(served.toSorted())
  })
})

test("pool, route and rules of the examples fit the picker", async () => {
  const [pool] = await manifests("examples/inference-pool.yaml")
  const service = theOnly(await kustomized("picker"), "Service")
  expect(at(pool, "spec.endpointPickerRef.name")).toBe(at(service, "metadata.name"))
  const picking = (at(service, "spec.ports") as ReadonlyArray<Manifest>).filter((port) =>
    port["name"] === "grpc-ext-proc"
  )
  expect(picking.map((port) => port["port"])).toEqual([at(pool, "spec.endpointPickerRef.port.number")])
  const name = at(pool, "metadata.name")
  expect((await configOf("picker")).discovery.kubernetes?.pool).toBe(String(name))
  const route = theOnly(await manifests("examples/http-route.yaml"), "HTTPRoute")
  expect(at(route, "spec.rules.0.backendRefs.0.name")).toBe(name)
  for (const rule of await manifests("examples/rules.yaml")) expect(at(rule, "spec.poolRef.name")).toBe(name)
})
