import { expect, test } from "bun:test"
import { Either, FastCheck as fc } from "effect"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { decodeConfig } from "../../config/decodeConfig.ts"
import { readSecrets } from "../../config/secretFiles.ts"
import { keyHash } from "../../src/http/doors/clientKey.ts"
import { rejectionOf } from "../lib/rejectionOf.ts"
import { withDirectory } from "../storage/snapshots.ts"
import { hostileText, inheritedNames, plan, propertyTimeoutMs } from "./fuzz.ts"

const secret = "wr-the-secret-itself"
const words = ["- ", ": ", "\n", "{", "[", "}", "? ", "*a", "&a ", "null", "-1", "1e400", ...inheritedNames]

test(
  "a file of keys that may be none gives whole keys, or a reason",
  () =>
    withDirectory(async (directory) => {
      const path = join(directory, "keys.yaml")
      const config = Either.getOrThrow(decodeConfig([{ name: "test", values: { auth: { keysPath: path } } }]))
      const sample = `- name: team-a
  hash: ${keyHash(secret)}
  models: [m]
  requestsPerMinute: 5
  tokensPerMinute: 100
  expires: 2027-01-31
- { name: team-b, hash: "${keyHash("other")}" }
`
      expect((await readWritten(path, sample, config)).length).toBe(2)
      await fc.assert(
        fc.asyncProperty(hostileText([sample], words), async (text) => {
          try {
            for (const key of await readWritten(path, text, config)) {
              expect(key.name).toMatch(/^[\w.@-]{1,64}$/)
              expect(key.sha256).toMatch(/^[0-9a-f]{64}$/)
              expect(key.requestsPerMinute ?? 1).toBeGreaterThan(0)
              expect(Number.isFinite(key.expiresAtMs ?? 0)).toBe(true)
            }
          } catch (cause) {
            if (!(cause instanceof Error)) throw cause
            expect(cause.message).toContain("auth.keysPath")
          }
        }),
        plan("keyFiles")
      )
    }),
  propertyTimeoutMs
)

test.each([
  secret,
  `- ${secret}`,
  `- ${secret}: 1`,
  `- { name: a, hash: ${secret} }`,
  `- { name: a, hash: [${secret}] }`,
  `- { name: a, hash: "${keyHash(secret)}", ${secret}: 1 }`,
  `- { name: a, hash: "${keyHash(secret)}", models: ${secret} }`,
  `- { name: a, hash: ${secret}`
])("the reason why %p is no file of keys does not repeat the key", (text) =>
  withDirectory(async (directory) => {
    const path = join(directory, "keys.yaml")
    const config = Either.getOrThrow(decodeConfig([{ name: "test", values: { auth: { keysPath: path } } }]))
    const cause = await rejectionOf(readWritten(path, text, config))
    expect(cause).toBeInstanceOf(Error)
    expect(String(cause)).not.toContain(secret)
  }))

const readWritten = async (path: string, text: string, config: Parameters<typeof readSecrets>[0]) => {
  writeFileSync(path, text)
  return (await readSecrets(config, {})).keys
}
