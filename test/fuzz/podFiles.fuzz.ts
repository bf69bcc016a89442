import { describe, expect, test } from "bun:test"
import { Either, FastCheck as fc } from "effect"
import { podAddress } from "../../src/core/Pod.ts"
import { parsePodFile } from "../../src/discovery/podFile.ts"
import { graftedJson, hostileText, inheritedNames, plan, propertyTimeoutMs, yamlWords } from "./fuzz.ts"

const own = { pods: ["http://10.0.0.7:8000", { url: "https://pod.test", preset: "h100" }, "http://[fd00::7]:8000"] }
const llmd = {
  endpoints: [
    { name: "a", namespace: "n", address: "10.0.0.7", port: 8000, labels: { "llm-d.ai/role": "decode" } },
    { name: "b", address: "fd00::7", port: "8000" }
  ]
}
const yaml = [
  "pods:\n- http://10.0.0.7:8000\n- url: http://10.0.0.8:8000\n  preset: h100\n",
  "- http://10.0.0.7:8000\n- &a http://10.0.0.8:8000\n",
  "endpoints:\n- name: a\n  address: 10.0.0.7\n  port: \"8000\"\n  labels: {a: b}\n"
]
const words = [
  ...yamlWords,
  "#",
  "http://",
  "@",
  "/path",
  ...inheritedNames.map((name) => `${name}: 1\n`)
]
const names = ["url", "preset", "pods", "name", "namespace", "address", "port", "labels", "endpoints"]

/** Whatever the text says, a pod that comes out of it is one that can be connected to. */
const expectPodsOrReason = (text: string, json: boolean): void => {
  const read = parsePodFile(text, json)
  if (Either.isLeft(read)) return expect(read.left).not.toBe("")
  for (const pod of read.right.pods) {
    expect(podAddress(pod.hostname, pod.port, pod.tls).id).toBe(pod.id)
    expect(Number.isInteger(pod.port) && pod.port >= 0 && pod.port <= 65_535).toBe(true)
    expect(pod.hostname).toMatch(/^[^\s/?#@[\]\r\n]+$/)
    expect(typeof (pod.preset ?? "")).toBe("string")
    for (const label of Object.values(pod.labels ?? {})) expect(typeof label).toBe("string")
  }
}

describe("a file of pods that may be none", () => {
  test("gives pods or a reason, as YAML", () => {
    fc.assert(
      fc.property(hostileText([...yaml, JSON.stringify(own)], words), (text) => expectPodsOrReason(text, false)),
      plan("podFiles", 0.6)
    )
  }, propertyTimeoutMs)

  test("gives pods or a reason, as JSON", () => {
    fc.assert(
      fc.property(graftedJson([own, own.pods, llmd], names), (text) => expectPodsOrReason(text, true)),
      plan("podFiles", 0.4)
    )
  }, propertyTimeoutMs)

  test.each(["[", "{a: ", "- ", "? ", "&a [*a, "])("of nothing but %p has a reason", (opener) => {
    expect(Either.isLeft(parsePodFile(opener.repeat(100_000), false))).toBe(true)
  })
})
