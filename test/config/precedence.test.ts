import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { GatewayConfigSchema } from "../../config/GatewayConfig.ts"
import { leavesOf } from "../../config/schemaKeys.ts"
import { variableNames } from "../../config/textSources.ts"
import { loaded } from "./rendered.ts"

let directory = ""
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "warmroute-config-"))
})
afterAll(() => rm(directory, { recursive: true }))

const fileOf = async (text: string): Promise<string> => {
  const path = join(directory, `${crypto.randomUUID()}.yaml`)
  await Bun.write(path, text)
  return path
}

const accepted = async (sources: Parameters<typeof loaded>[0]) => {
  const value = await loaded(sources)
  if (typeof value === "string") throw new Error(value)
  return value
}

describe("precedence", () => {
  test("flags win over variables, variables over the file, the file over the default", async () => {
    const configPath = await fileOf("listen: { port: 1, hostname: f }\npolicy: random\nlimits: { retriesMax: 1 }\n")
    const { config } = await accepted({
      flags: { port: "3" },
      environment: { WARMROUTE_LISTEN: "e:2", WARMROUTE_POLICY: "round-robin" },
      configPath
    })
    expect(config.listen).toEqual({ hostname: "e", port: 3, metrics: "auto" })
    expect(config.policy.type).toBe("round-robin")
    expect(config.limits.retriesMax).toBe(1)
    expect(config.limits.podsMax).toBe(1024)
  })

  test("--port wins over --listen, which keeps its host", async () => {
    const { config } = await accepted({ flags: { listen: "[::1]:1", port: "2" } })
    expect(config.listen).toEqual({ hostname: "::1", port: 2, metrics: "auto" })
  })

  test("pods of a stronger source take the place of the list, they do not add to it", async () => {
    const configPath = await fileOf("pods: [http://f:1, http://f:2]")
    const { config } = await accepted({ environment: { WARMROUTE_PODS: "http://e:1, http://e:2 e:3" }, configPath })
    expect(config.pods.map((pod) => pod.id as string)).toEqual(["e:1", "e:2", "e:3"])
  })

  test("a policy of a stronger source replaces the whole of the weaker one", async () => {
    const configPath = await fileOf("policy: { type: marginal-cost, parameters: { hysteresis: 0.2 } }")
    const { config } = await accepted({ flags: { policy: "random" }, configPath })
    expect(config.policy).toEqual({ type: "random" })
  })

  test("--config wins over WARMROUTE_CONFIG", async () => {
    const [flag, variable] = [await fileOf("listen: { port: 1 }"), await fileOf("listen: { port: 2 }")]
    expect((await accepted({ environment: { WARMROUTE_CONFIG: variable } })).config.listen.port).toBe(2)
    expect((await accepted({ environment: { WARMROUTE_CONFIG: variable }, configPath: flag })).config.listen.port).toBe(
      1
    )
  })

  test("--snapshot off turns the snapshot of the file off, a path turns it on", async () => {
    const configPath = await fileOf("snapshot: { enabled: true, path: a.sqlite }")
    expect((await accepted({ flags: { snapshot: "off" }, configPath })).config.snapshot.enabled).toBe(false)
    const off = await fileOf("snapshot: { enabled: false }")
    const { snapshot } = (await accepted({ flags: { snapshot: "b.sqlite" }, configPath: off })).config
    expect([snapshot.enabled, snapshot.path]).toEqual([true, "b.sqlite"])
  })
})

describe("variables", () => {
  test("every scalar setting has one", () => {
    const scalars = leavesOf(GatewayConfigSchema.ast).filter((leaf) => leaf.kind !== "list" && leaf.kind !== "map")
    const own = scalars.filter(({ path: [section] }) => section !== "policy" && section !== "hardware")
    expect(own.length).toBeGreaterThan(30)
    for (const { path } of own) {
      expect(variableNames).toContain(`WARMROUTE_${path.join("_").replace(/[A-Z]/g, (c) => `_${c}`).toUpperCase()}`)
    }
  })

  test("numbers, truth values, durations and sizes are read from text", async () => {
    const { config } = await accepted({
      environment: {
        WARMROUTE_LIMITS_RETRIES_MAX: "5",
        WARMROUTE_ANSWERS_POD_HEADER: "false",
        WARMROUTE_LIMITS_BODY_BYTES_MAX: "1MiB",
        WARMROUTE_DISCOVERY_DNS_NAME: "a.b",
        WARMROUTE_DISCOVERY_DNS_SRV: "1"
      }
    })
    expect(config.limits.retriesMax).toBe(5)
    expect(config.answers.podHeader).toBe(false)
    expect(config.limits.bodyBytesMax).toBe(1024 * 1024)
    expect(config.discovery.dns?.srv).toBe(true)
  })

  test("a wrong value is an error that names the variable and the setting", async () => {
    expect(await loaded({ environment: { WARMROUTE_LIMITS_RETRIES_MAX: "many" } })).toBe(
      `WARMROUTE_LIMITS_RETRIES_MAX: limits.retriesMax is "many" but must be a number.`
    )
  })

  test("a misspelt name is an error that gives the right one", async () => {
    expect(await loaded({ environment: { WARMROUTE_POD: "http://a:1" } })).toBe(
      "WARMROUTE_POD is not read. Did you mean WARMROUTE_PODS?"
    )
  })

  test("a name unlike any of ours is a warning", async () => {
    const { warnings } = await accepted({ environment: { WARMROUTE_SOMETHING_OF_YOURS: "1", OTHER: "2" } })
    expect(warnings).toEqual(["the variable WARMROUTE_SOMETHING_OF_YOURS is not read"])
  })

  test("what Kubernetes sets for a Service called warmroute is passed over", async () => {
    const { config, warnings } = await accepted({
      environment: {
        WARMROUTE_PORT: "tcp://10.0.0.1:80",
        WARMROUTE_PORT_80_TCP: "tcp://10.0.0.1:80",
        WARMROUTE_PORT_80_TCP_ADDR: "10.0.0.1",
        WARMROUTE_PORT_80_TCP_PORT: "80",
        WARMROUTE_PORT_80_TCP_PROTO: "tcp",
        WARMROUTE_SERVICE_HOST: "10.0.0.1",
        WARMROUTE_SERVICE_PORT: "80",
        WARMROUTE_SERVICE_PORT_HTTP: "80"
      }
    })
    expect(warnings).toEqual([])
    expect(config.listen.port).toBe(8080)
  })

  test("an empty variable is one that is not set", async () => {
    expect((await accepted({ environment: { WARMROUTE_PODS: "", WARMROUTE_CONFIG: "" } })).config.pods).toEqual([])
  })
})

describe("flags", () => {
  test.each(["x:y", "8080x", "a:b:80", "[::1]", "host:"])("--listen %s is refused", async (listen) => {
    expect(await loaded({ flags: { listen } })).toStartWith(
      `--listen: "${listen}" is not HOST:PORT; write for instance`
    )
  })

  test("a wrong pod is an error that names the flag and the entry", async () => {
    expect(await loaded({ flags: { pods: "http://a:1,nonsense" } })).toBe(
      `--pods: pods[1]: "nonsense" is not a URL; write it as http://host:port.`
    )
  })
})

describe("files", () => {
  test("a missing configuration names the flag and where relative paths start", async () => {
    expect(await loaded({ configPath: "nowhere.yaml" })).toBe(
      `--config: nowhere.yaml does not exist. Relative paths start at ${process.cwd()}.`
    )
  })

  test("a missing configuration of the variable names the variable", async () => {
    expect(await loaded({ environment: { WARMROUTE_CONFIG: "/no/such.yaml" } })).toContain(
      "WARMROUTE_CONFIG: /no/such.yaml does not exist."
    )
  })

  test("a directory, a huge file and one that is not text are refused", async () => {
    expect(await loaded({ configPath: directory })).toContain("is not a plain file")
    expect(await loaded({ configPath: await fileOf("#".repeat(1024 * 1024 + 1)) })).toContain("is longer than")
    const path = join(directory, "binary.yaml")
    await Bun.write(path, new Uint8Array([0xff, 0xfe, 0x00, 0x80]))
    expect(await loaded({ configPath: path })).toContain("is not UTF-8 text. Save it as UTF-8.")
  })

  test("paths in a file start at the file", async () => {
    await Bun.write(join(directory, "pods.yaml"), "- http://a:1")
    const configPath = await fileOf("snapshot: { path: s.sqlite }\ndiscovery: { file: { path: pods.yaml } }")
    const { config } = await accepted({ configPath })
    expect(config.snapshot.path).toBe(join(directory, "s.sqlite"))
    expect(config.discovery.file?.path).toBe(join(directory, "pods.yaml"))
  })

  test("a missing list of pods names line and setting", async () => {
    const configPath = await fileOf("discovery:\n  file:\n    path: gone.yaml\n")
    expect(await loaded({ configPath })).toStartWith(
      `${configPath}:3:5: discovery.file.path: ${join(directory, "gone.yaml")} does not exist.`
    )
  })

  test("a message points into the file even when flags are given too", async () => {
    const configPath = await fileOf("listen:\n  prot: 80\n")
    expect(await loaded({ flags: { port: "1" }, configPath })).toBe(
      `${configPath}:2:3: listen.prot is not a setting. Did you mean listen.port?`
    )
  })
})
