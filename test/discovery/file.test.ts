import { afterEach, beforeEach, describe, expect, test } from "bun:test"
import { Either, FastCheck as fc } from "effect"
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { podAddress } from "../../src/core/Pod.ts"
import { fileDiscovery, type FileDiscoveryOptions } from "../../src/discovery/file.ts"
import { parsePodFile } from "../../src/discovery/podFile.ts"
import { staticDiscovery } from "../../src/discovery/static.ts"
import { follow, type Followed } from "./follow.ts"

let directory = ""
const followers: Array<Followed> = []

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "pods-"))
})

afterEach(async () => {
  for (const followed of followers.splice(0)) await followed.stop()
  rmSync(directory, { recursive: true })
})

const start = (name: string, options: Partial<FileDiscoveryOptions> = {}): Followed => {
  const followed = follow(fileDiscovery({ path: join(directory, name), settleMs: 5, ...options }))
  followers.push(followed)
  return followed
}

const write = (name: string, text: string | Uint8Array): void => writeFileSync(join(directory, name), text)

/** Slow enough that only the watch can be what saw a change. */
const watchOnly = { pollMs: 3_600_000 }

describe("the text of a pod file", () => {
  test.each([
    ["YAML of URLs", "- http://10.0.0.7:8000\n- https://pod.test\n", "10.0.0.7:8000 pod.test:443"],
    ["YAML of objects", "# two pods\n- url: http://a:1\n  preset: small\n- {url: http://b:2}\n", "a:1(small) b:2"],
    ["an object with pods", "pods:\n  - http://a:1\n", "a:1"],
    ["JSON in YAML", "{\"pods\": [\"http://a:1\"]}", "a:1"],
    ["an empty list", "[]", ""]
  ])("may be %s", (_, text, expected) => {
    const { pods } = Either.getOrThrow(parsePodFile(text, false))
    expect(pods.map((pod) => pod.preset ? `${pod.id}(${pod.preset})` : pod.id).join(" ")).toBe(expected)
  })

  test.each([
    ["- http://a:1\n- b: [\n- http://c:1\n", "is not YAML at or after line 2: "],
    ["", "holds nothing; write [] for no pods"],
    ["42", "is neither a list of pods nor an object with the key pods"],
    ["pod: []", "unknown key \"pod\"; known are pods and llm-d's endpoints"],
    ["pods: http://a:1", "pods is not a list"],
    ["- http://a:1\n- 10.0.0.7:8000", "entry 2: \"10.0.0.7:8000\""],
    ["- http://a:1/v1", "entry 1: \"http://a:1/v1\" has a path"],
    ["- {url: http://a:1, weight: 3}", "entry 1: unknown key \"weight\"; known are url and preset"],
    ["- preset: small", "entry 1: url is missing or not text"],
    ["- url: http://a:1\n  preset: 3", "entry 1: preset is not text"],
    ["- [http://a:1]", "entry 1: write http://host:port"],
    ["[".repeat(100_000), "is not YAML at or after line 1: "]
  ])("%p is refused in words", (text, why) => {
    expect(Either.getOrThrow(Either.flip(parsePodFile(text, false)))).toStartWith(why)
  })

  test("may be llm-d's, with names and labels", () => {
    const text = `endpoints:
  - { name: vllm-0, address: 10.0.0.1, port: "8000", labels: { llm-d.ai/role: decode }, note: passed over }
  - { name: vllm-1, namespace: fleet, address: 10.0.0.2, port: 8001 }
`
    const { pods, skipped } = Either.getOrThrow(parsePodFile(text, false))
    expect(skipped).toEqual([])
    expect(pods).toEqual([
      { ...podAddress("10.0.0.1", 8000, false), name: "default/vllm-0", labels: { "llm-d.ai/role": "decode" } },
      { ...podAddress("10.0.0.2", 8001, false), name: "fleet/vllm-1", labels: {} }
    ])
  })

  test.each([
    ["- 7", "entry 1: is not a map with name, address, port"],
    ["- { address: 10.0.0.1, port: 1 }", "entry 1: name is missing or not text"],
    ["- { name: a, address: a/b, port: 1 }", "entry 1: address is neither an IP address nor a host name"],
    ["- { name: a, address: 10.0.0.1, port: 0 }", "entry 1: port is not a number from 1 to 65535"],
    ["- { name: a, address: 10.0.0.1, port: 8e1 }", undefined],
    ["- { name: a, address: 10.0.0.1, port: \"8e3\" }", "entry 1: port is not a number from 1 to 65535"],
    ["- { name: a, namespace: 1, address: 10.0.0.1, port: 1 }", "entry 1: namespace is not text"],
    ["- { name: a, address: 10.0.0.1, port: 1, labels: { x: 1 } }", "entry 1: the label x is not text"],
    [
      "- { name: a, address: b, port: 1 }\n- { name: c, address: b, port: 1 }",
      "default/c has the address of default/a, b:1"
    ]
  ])("of llm-d leaves out the entry %p", (entries, why) => {
    expect(Either.getOrThrow(parsePodFile(`endpoints:\n${entries}`, false)).skipped).toEqual(
      why === undefined ? [] : [why]
    )
  })

  test("of llm-d has the later of two entries of one name", () => {
    const text = "endpoints:\n- { name: a, address: b, port: 1 }\n- { name: a, address: c, port: 1 }"
    expect(Either.getOrThrow(parsePodFile(text, false)).pods.map(({ id }) => String(id))).toEqual(["c:1"])
  })

  test("is never a crash", () => {
    const piece = fc.oneof(
      fc.string(),
      fc.constantFrom("- ", "\n", "url: ", "http://a:1", "{", "}", "[", "]", "&a ", "*a")
    )
    fc.assert(fc.property(fc.array(piece, { maxLength: 12 }), fc.boolean(), (pieces, json) => {
      expect(Either.isEither(parsePodFile(pieces.join(""), json))).toBe(true)
    }))
  })
})

describe("a watched file", () => {
  test("says once which entries of llm-d's it leaves out", async () => {
    write("pods.yaml", "endpoints:\n- { name: a, address: a, port: 1 }\n- { name: b, port: 1 }")
    const { nextLog, nextSet } = start("pods.yaml", { pollMs: 10 })
    expect(await nextSet()).toBe("a:1")
    expect(await nextLog()).toEndWith(
      "these entries are left out: entry 2: address is neither an IP address nor a host name"
    )
    write("pods.yaml", "endpoints:\n- { name: a, address: a, port: 1 }\n- { name: b, address: b, port: 1 }\n- 7")
    expect(await nextSet()).toBe("a:1 b:1")
    expect(await nextLog()).toEndWith("entry 3: is not a map with name, address, port")
  })

  test("gives its pods at the start and at each change", async () => {
    write("pods.yaml", "- http://a:1")
    const { nextSet } = start("pods.yaml", watchOnly)
    expect(await nextSet()).toBe("a:1")
    write("pods.yaml", "- http://a:1\n- http://b:1")
    expect(await nextSet()).toBe("a:1 b:1")
  })

  test("replaced by a rename is seen", async () => {
    write("pods.yaml", "- http://a:1")
    const { nextSet } = start("pods.yaml", watchOnly)
    expect(await nextSet()).toBe("a:1")
    for (const host of ["b", "c"]) {
      write("new", `- http://${host}:1`)
      renameSync(join(directory, "new"), join(directory, "pods.yaml"))
      expect(await nextSet()).toBe(`${host}:1`)
    }
  })

  test("behind the swapped links of a ConfigMap is seen", async () => {
    const version = (name: string, text: string): void => {
      mkdirSync(join(directory, name))
      write(`${name}/pods.yaml`, text)
      symlinkSync(name, join(directory, "..data_tmp"))
      renameSync(join(directory, "..data_tmp"), join(directory, "..data"))
    }
    version("..1", "- http://a:1")
    symlinkSync("..data/pods.yaml", join(directory, "pods.yaml"))
    const { nextSet } = start("pods.yaml", watchOnly)
    expect(await nextSet()).toBe("a:1")
    version("..2", "- http://b:1")
    expect(await nextSet()).toBe("b:1")
  })

  test("is polled where the watch sees nothing", async () => {
    mkdirSync(join(directory, "elsewhere"))
    write("elsewhere/real", "- http://a:1")
    symlinkSync("elsewhere/real", join(directory, "pods.yaml"))
    const { nextSet } = start("pods.yaml", { pollMs: 10 })
    expect(await nextSet()).toBe("a:1")
    write("elsewhere/real", "- http://b:1")
    expect(await nextSet()).toBe("b:1")
  })

  test("in JSON is read as JSON", async () => {
    write("pods.json", "{\n\t\"pods\": [\"http://a:1\"]\n}")
    expect(await start("pods.json").nextSet()).toBe("a:1")
  })

  test.each([
    ["- http://a:1\n- :", "entry 2: "],
    ["", "holds nothing; write [] for no pods"],
    ["- http://b:1\n- http://b:1", "entry 2 repeats b:1 of entry 1; remove one"],
    [new Uint8Array([0x2d, 0x20, 0xff]), "is not UTF-8 text"],
    [`- http://b:1 # ${"x".repeat(2000)}`, "is longer than 1000 bytes"],
    ["- http://b:1\n- http://c:1\n- http://d:1", "3 pods, more than the 2 that the gateway takes"]
  ])("that turns bad leaves the last good list, and heals: %p", async (text, why) => {
    write("pods.yaml", "- http://a:1")
    const { nextLog, nextSet } = start("pods.yaml", { ...watchOnly, fileBytesMax: 1000, podsMax: 2 })
    expect(await nextSet()).toBe("a:1")
    write("pods.yaml", text)
    let line = await nextLog()
    // A write in place may be seen while the file is still empty.
    if (why !== "holds nothing; write [] for no pods" && line.includes("holds nothing")) line = await nextLog()
    expect(line).toStartWith(`discovery: ${join(directory, "pods.yaml")}: ${why}`)
    expect(line).toEndWith("; the last good list stands (1 pod)")
    write("pods.yaml", "- http://e:1")
    expect(await nextSet()).toBe("e:1")
  })

  test("that is removed leaves the last good list", async () => {
    write("pods.yaml", "- http://a:1")
    const { nextLog, nextSet } = start("pods.yaml", watchOnly)
    expect(await nextSet()).toBe("a:1")
    rmSync(join(directory, "pods.yaml"))
    expect(await nextLog()).toEndWith("does not exist; the last good list stands (1 pod)")
  })

  test("that is not there at the start fails it", async () => {
    expect(await start("nowhere/pods.yaml").nextSet()).toEndWith("nowhere/pods.yaml: does not exist")
  })

  test("that is a directory or a device fails the start", async () => {
    mkdirSync(join(directory, "pods.yaml"))
    expect(await start("pods.yaml").nextSet()).toEndWith("is not a plain file")
    symlinkSync("/dev/zero", join(directory, "zero"))
    expect(await start("zero").nextSet()).toEndWith("is not a plain file")
  })
})

describe("a written-down list", () => {
  test("is given once, in its order", async () => {
    const followed = follow(staticDiscovery([podAddress("b", 1, false), podAddress("a", 1, false)]))
    followers.push(followed)
    expect(await followed.nextSet()).toBe("b:1 a:1")
  })

  test("with a pod twice fails the start", async () => {
    const followed = follow(staticDiscovery([podAddress("a", 1, false), podAddress("a", 1, true)]))
    followers.push(followed)
    expect(await followed.nextSet()).toBe("failed: the configuration: entry 2 repeats a:1 of entry 1; remove one")
  })
})
