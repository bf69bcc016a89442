import { expect, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { acceptedYaml, loaded, refusedYaml } from "../rendered.ts"

const section = (fields: string): string => `discovery: { kubernetes: { ${fields} } }`

test.each([
  ["", "write one of pool, selector and service"],
  ["pool: a, service: b", "write one of pool, selector and service"],
  ["pool: a, ports: [8000]", "an InferencePool brings its ports; remove ports"],
  ["selector: app=vllm", "is missing; write the port of the pods, such as [8000]"],
  ["pool: a, context: b", "is a context of a kubeconfig; write kubeconfig too"],
  ["selector: a=b, ports: [1, 2, 3, 4, 5, 6, 7, 8, 9]", "ports"],
  ["selector: a=b, ports: [70000]", "ports"],
  ["poool: a", "poool"]
])("{ %s } is refused in words", (fields, why) => {
  expect(refusedYaml(section(fields))).toContain(why)
})

test.each([
  "pool: a",
  "selector: \"app=vllm,tier in (gold)\", ports: [8000, 8001]",
  "service: b",
  "service: b, ports: [80]"
])(
  "{ %s } is taken",
  (fields) => {
    expect(acceptedYaml(section(fields)).discovery.kubernetes).toMatchObject({ pageSize: 500, objectsMax: 20_000 })
  }
)

test("a relative path of a kubeconfig starts at the file that says it", async () => {
  const directory = mkdtempSync(join(tmpdir(), "section-"))
  try {
    const configPath = join(directory, "gateway.yaml")
    writeFileSync(configPath, section("pool: a, kubeconfig: kube/config"))
    const value = await loaded({ configPath })
    if (typeof value === "string") throw new Error(value)
    expect(value.config.discovery.kubernetes?.kubeconfig).toBe(join(directory, "kube/config"))
  } finally {
    rmSync(directory, { recursive: true })
  }
})
