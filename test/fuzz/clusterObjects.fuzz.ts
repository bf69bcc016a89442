import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { writeFileSync } from "node:fs"
import { isIP } from "node:net"
import { join } from "node:path"
import { ClusterAccessError } from "../../src/discovery/kubernetes/ClusterAccess.ts"
import {
  clusterObjective,
  clusterPod,
  clusterPool,
  clusterRewrite,
  clusterSlice
} from "../../src/discovery/kubernetes/clusterObjects.ts"
import { fieldsOf } from "../../src/discovery/kubernetes/fields.ts"
import { kubeconfigAccess } from "../../src/discovery/kubernetes/kubeconfig.ts"
import { LineSplitter } from "../../src/discovery/kubernetes/LineSplitter.ts"
import { podsOfCluster, podsOfSlices } from "../../src/discovery/kubernetes/podSets.ts"
import { inferencePool } from "../discovery/kubernetes/objects.ts"
import { withDirectory } from "../storage/snapshots.ts"
import {
  cutsArb,
  graftedJson,
  hostileBytes,
  hostileText,
  inheritedNames,
  pieces,
  plan,
  propertyTimeoutMs
} from "./fuzz.ts"

const pod = {
  metadata: {
    name: "a",
    namespace: "n",
    labels: { "llm-d.ai/role": "decode" },
    annotations: { "llm-d.ai/active-ports": "8000,8001" }
  },
  status: { podIP: "10.0.0.7", conditions: [{ type: "Ready", status: "True" }] }
}
const slice = {
  addressType: "IPv4",
  metadata: { namespace: "n" },
  ports: [{ name: "http", port: 8000, appProtocol: "https" }],
  endpoints: [{ addresses: ["10.0.0.7", "10.0.0.8"], conditions: { ready: true }, targetRef: { name: "a" } }]
}
const objective = { spec: { poolRef: { name: "p" }, priority: -3 } }
const rewrite = {
  metadata: { name: "r", creationTimestamp: "2026-11-22T10:00:00Z" },
  spec: {
    poolRef: { name: "p" },
    rules: [{ matches: [{ model: { type: "Exact", value: "m" } }], targets: [{ modelRewrite: "n", weight: 3 }] }]
  }
}
const names = ["metadata", "spec", "status", "labels", "podIP", "endpoints", "addresses", "ports", "targets", "weight"]
const fieldsArb = (samples: ReadonlyArray<unknown>) =>
  graftedJson(samples, names).map((text) => fieldsOf(JSON.parse(text)) ?? {})

const said: Array<string> = []
const complain = (_kind: string, message: string): void => {
  if (said.length < 10) said.push(message)
}

describe("an object of a cluster that is not what it should be", () => {
  test("gives pods with an address and a port, or the reason why not", () => {
    fc.assert(
      fc.property(fieldsArb([pod]), fieldsArb([slice]), (podFields, sliceFields) => {
        const onePod = clusterPod(podFields)
        const oneSlice = clusterSlice(sliceFields)
        const pods = [
          ...typeof onePod === "string" ? [] : podsOfCluster([onePod], [8000, 8001], false, complain),
          ...typeof oneSlice === "string" ? [] : podsOfSlices([oneSlice], [], false, complain)
        ]
        for (const { hostname, labels, port } of pods) {
          expect(isIP(hostname)).toBeGreaterThan(0)
          expect(port > 0 && port < 65_536).toBe(true)
          expect(Object.values(labels ?? {}).every((label) => typeof label === "string")).toBe(true)
        }
      }),
      plan("clusterObjects", 0.5)
    )
  }, propertyTimeoutMs)

  test("gives settings in their range, or the reason why not", () => {
    fc.assert(
      fc.property(fieldsArb([inferencePool(), objective, rewrite]), (fields) => {
        const pool = clusterPool(fields)
        if (typeof pool !== "string") expect(pool.ports.every((port) => port > 0 && port < 65_536)).toBe(true)
        const priority = clusterObjective(fields)
        if (typeof priority !== "string") expect(Number.isInteger(priority.priority)).toBe(true)
        const rules = clusterRewrite(fields)
        if (typeof rules === "string") return
        for (const { targets } of rules.rules) {
          expect(targets.length).toBeGreaterThan(0)
          expect(targets.every(({ model, weight }) => model !== "" && weight >= 0)).toBe(true)
        }
      }),
      plan("clusterObjects", 0.5)
    )
  }, propertyTimeoutMs)
})

test("the lines of a watch are the same however its bytes are cut, none longer than the limit", () => {
  const lineBytesMax = 120
  const lines = (all: ReadonlyArray<Uint8Array>): ReadonlyArray<string> => {
    const heard: Array<string> = []
    const splitter = new LineSplitter(lineBytesMax, (line) => heard.push(line), () => heard.push("too long"))
    for (const piece of all) splitter.push(piece)
    return heard
  }
  const event = Buffer.from(`${JSON.stringify({ type: "ADDED", object: { a: "é".repeat(20) } })}\n`)
  const stream = new Uint8Array(Buffer.concat([event, event, event]))
  fc.assert(
    fc.property(hostileBytes([stream], ["\n", "\n\n", "\r\n", "x".repeat(100), "\u00e9"]), cutsArb, (bytes, cuts) => {
      const whole = lines([bytes])
      expect(lines(pieces(bytes, cuts))).toEqual(whole)
      expect(whole.every((line) => line.length <= lineBytesMax)).toBe(true)
    }),
    plan("clusterLines")
  )
}, propertyTimeoutMs)

test("a kubeconfig that is none is refused in words that name it", () =>
  withDirectory(async (directory) => {
    const path = join(directory, "config")
    const sample = `apiVersion: v1
current-context: here
contexts:
- {name: here, context: {cluster: c, user: u, namespace: n}}
clusters:
- {name: c, cluster: {server: "https://10.0.0.1:6443", insecure-skip-tls-verify: true}}
users:
- {name: u, user: {token: secret}}
`
    const words = [": ", "- ", "\n", "{", "}", "[", "token", "http:", "null", "*a", "? ", ...inheritedNames]
    await fc.assert(
      fc.asyncProperty(hostileText([sample], words), async (text) => {
        writeFileSync(path, text)
        try {
          const access = await kubeconfigAccess({ path, context: undefined })()
          expect(URL.canParse(access.server) && typeof access.namespace === "string").toBe(true)
          expect(typeof (access.token ?? "")).toBe("string")
        } catch (cause) {
          if (!(cause instanceof ClusterAccessError)) throw cause
          expect(cause.message).toContain(path)
        }
      }),
      plan("kubeconfig")
    )
  }), propertyTimeoutMs)
