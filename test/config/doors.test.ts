import { describe, expect, test } from "bun:test"
import { isOpenToAll } from "../../config/isOpenToAll.ts"
import { keyHash, newKey } from "../../src/http/doors/clientKey.ts"
import { startWarmroute, warmroute } from "../lib/commandLine.ts"
import { acceptedYaml, refusedYaml } from "./rendered.ts"

const key = newKey()
const one = `{ name: a, hash: "${keyHash(key)}" }`

describe("auth.keys", () => {
  test("names are plain, hashes are hashes, and neither comes twice", () => {
    expect(refusedYaml(`auth: { keys: [{ name: "a b", hash: "${keyHash(key)}" }] }`)).toContain("is no name for a key")
    expect(refusedYaml(`auth: { keys: [${one}, ${one}] }`)).toContain(`repeats the name "a"`)
    expect(refusedYaml(`auth: { keys: [${one}, { name: b, hash: "${keyHash(key)}" }] }`)).toContain("repeats the hash")
  })

  test("a key in the place of its hash is refused and not repeated", () => {
    const refused = refusedYaml(`auth: { keys: [{ name: a, hash: ${key} }] }`)
    expect(refused).toContain("auth.keys[0].hash is not \"sha256:\" and 64 hex digits")
    expect(refused).not.toContain(key)
  })

  test("a day lasts until its end in UTC, a moment is what it is, anything else no date", () => {
    const expiry = (text: string) =>
      acceptedYaml(`auth: { keys: [{ name: a, hash: "${keyHash(key)}", expires: "${text}" }] }`).auth.keys[0]?.expires
    expect(expiry("2027-01-31")).toBe(Date.parse("2027-02-01T00:00:00Z") - 1)
    expect(expiry("2027-01-31T12:00:00+02:00")).toBe(Date.parse("2027-01-31T10:00:00Z"))
    expect(refusedYaml(`auth: { keys: [{ name: a, hash: "${keyHash(key)}", expires: "31.1.2027" }] }`)).toContain(
      "is no date"
    )
    expect(refusedYaml(`auth: { keys: [{ name: a, hash: "${keyHash(key)}", expires: "2027-13-31" }] }`)).toContain(
      "is no date"
    )
  })
})

test.each([
  ["podAccess: { tokenVariable: A, tokenPath: b }", "podAccess.tokenPath: stands beside tokenVariable"],
  ["podAccess: { certPath: a }", "podAccess.keyPath is missing; a certificate needs its key"],
  ["podAccess: { keyPath: a }", "podAccess.certPath is missing; a key needs its certificate"],
  ["podAccess: { tokenPaths: { \"http://a:1\": b } }", "is no pod; write it as host:port"],
  ["listen: { tls: { certPath: a } }", "listen.tls.keyPath is missing"],
  ["limits: { headerBytesMax: 17KiB }", "is more than 16 KiB"],
  ["limits: { clientIdleTimeout: 5 minutes }", "must be from 1 s to 255 s"]
])("%s is refused", (yaml, why) => {
  expect(refusedYaml(yaml)).toContain(why)
})

test.each([
  ["{}", true],
  ["listen: { hostname: 127.0.0.1 }", false],
  ["listen: { hostname: localhost }", false],
  ["listen: { hostname: \"::1\" }", false],
  ["listen: { hostname: 10.0.0.1 }", true],
  ["listen: { hostname: \"::\" }", true],
  ["auth: { insecure: true }", false],
  ["auth: { keysPath: keys.yaml }", false],
  [`auth: { keys: [${one}] }`, false]
])("%s is open to all: %p", (yaml, open) => {
  expect(isOpenToAll(acceptedYaml(yaml))).toBe(open)
})

describe("warmroute key", () => {
  test("shows a new key apart from the entry that lets it in", async () => {
    const { code, stderr, stdout } = await warmroute(["key", "--name", "team-a"])
    const made = /^ {2}(wr-\S+)$/m.exec(stderr)?.[1] ?? ""
    expect([code, stdout]).toEqual([0, `- name: team-a\n  hash: ${keyHash(made)}\n`])
  })

  test.each([["123", "\"123\""], ["@a", "\"@a\""], ["true", "\"true\""], ["a.b@c", "a.b@c"]])(
    "prints an entry that is read as the name %p",
    async (name, printed) => {
      const { code, stdout } = await warmroute(["key", `--name=${name}`])
      expect(code).toBe(0)
      expect(stdout).toStartWith(`- name: ${printed}\n`)
      expect(acceptedYaml(`auth: { keys: ${JSON.stringify(Bun.YAML.parse(stdout))} }`).auth.keys[0]?.name).toBe(name)
    }
  )

  test("refuses a name that the configuration would", async () => {
    const { code, stderr, stdout } = await warmroute(["key", "--name", "team a"])
    expect([code, stdout]).toEqual([1, ""])
    expect(stderr).toBe(
      "warmroute key: --name: \"team a\" is no name for a key; take up to 64 letters, digits and . _ @ -\n"
    )
  })

  test("hashes a key of the standard input, unless it can be guessed", async () => {
    const hash = (key: string) => {
      const command = ["sh", "-c", `printf %s '${key}' | "$0" src/cli/main.ts key --stdin`, process.execPath]
      return startWarmroute([], {}, command).ended
    }
    expect(await hash(key)).toEqual({ code: 0, stdout: `- name: client\n  hash: ${keyHash(key)}\n`, stderr: "" })
    expect((await hash("secret")).stderr).toContain("a key of 6 characters can be guessed")
  })
})

test("a start that is open to all says so on the banner and in the log, unless that is meant", async () => {
  const said = async (...flags: ReadonlyArray<string>) => {
    const gateway = startWarmroute([
      "serve",
      "--pods",
      "http://127.0.0.1:1",
      "--port",
      "0",
      "--snapshot",
      "off",
      ...flags
    ])
    await gateway.printed("listens on")
    gateway.signal("SIGINT")
    gateway.signal("SIGINT")
    const { stderr, stdout } = await gateway.ended
    return [stdout.includes("keys      NONE: anybody"), stderr.includes("can use the gateway and read its /metrics")]
  }
  expect(await said()).toEqual([true, true])
  expect(await said("--insecure")).toEqual([false, false])
})
