import { expect, test } from "bun:test"
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { ownSessionSecret } from "../../config/ownSessionSecret.ts"
import { readSecrets } from "../../config/secretFiles.ts"
import { rejectionOf } from "../lib/rejectionOf.ts"
import { withDirectory } from "../storage/snapshots.ts"
import { acceptedYaml, refusedYaml } from "./rendered.ts"

const [one, other] = ["1".repeat(32), "2".repeat(64)] as const
const ofVariable = (text: string) =>
  readSecrets(acceptedYaml("answers: { sessionSecretsVariable: SECRETS }"), { SECRETS: text })

test("secrets come one a line from a file, or apart by blanks from a variable, the one that signs first", () =>
  withDirectory(async (directory) => {
    const path = join(directory, "secrets")
    writeFileSync(path, `${one}\r\n\n${other}\n`)
    const { sessions } = await readSecrets(acceptedYaml(`answers: { sessionSecretsPath: ${path} }`), {})
    expect(sessions).toEqual([one, other])
    expect((await ofVariable(` ${one} ${other}`)).sessions).toEqual([one, other])
    expect((await readSecrets(acceptedYaml("{}"), {})).sessions).toBeUndefined()
  }))

test.each([
  ["", "answers.sessionSecretsVariable: SECRETS holds no secret"],
  [`${one} short`, "answers.sessionSecretsVariable: SECRETS: secret 2 is shorter than 32 characters"],
  [Array.from({ length: 9 }, () => one).join(" "), "holds 9 secrets; 8 are the most"]
])("secrets that are none are refused and not repeated: %#", async (text, why) => {
  const message = String(await rejectionOf(ofVariable(text)))
  expect(message).toContain(why)
  expect(message).not.toContain(one)
})

test.each([
  ["answers: { sessionSecretsPath: a, sessionSecretsVariable: B }", "answers.sessionSecretsPath: stands beside"],
  [
    "answers: { sessionTokens: plain, sessionSecretsPath: a }",
    "answers.sessionSecretsPath: stands beside plain tokens"
  ],
  ["answers: { sessionTokens: open }", "answers.sessionTokens"]
])("%s is refused", (yaml, why) => {
  expect(refusedYaml(yaml)).toContain(why)
})

test("gateways that start at once on one path have one secret, and leave nothing else", () =>
  withDirectory(async (directory) => {
    const snapshot = acceptedYaml(`snapshot: { path: ${join(directory, "new", "s.sqlite")} }`).snapshot
    const made = await Promise.all(Array.from({ length: 8 }, () => ownSessionSecret(snapshot)))
    expect(new Set(made.map(({ fault, secret }) => `${secret} ${fault}`)).size).toBe(1)
    expect(made[0]?.secret).toMatch(/^[0-9a-f]{64}$/)
    expect(readdirSync(join(directory, "new"))).toEqual(["s.sqlite.session-secret"])
    expect(await ownSessionSecret(snapshot)).toEqual(made[0] ?? { secret: "", fault: "" })
  }))

test("a secret that can't be kept is a new one each time, with the reason", () =>
  withDirectory(async (directory) => {
    const path = join(directory, "s.sqlite")
    const snapshot = acceptedYaml(`snapshot: { path: ${path} }`).snapshot
    mkdirSync(`${path}.session-secret`)
    const made = [await ownSessionSecret(snapshot), await ownSessionSecret(snapshot)]
    expect(made[0]?.fault).toStartWith(`${path}.session-secret `)
    expect(made[0]?.secret).not.toBe(made[1]?.secret)
    expect((await ownSessionSecret({ ...snapshot, enabled: false })).fault).toBe("snapshots are off")
  }))

test("a secret file that somebody emptied is left as it is", () =>
  withDirectory(async (directory) => {
    const path = join(directory, "s.sqlite")
    writeFileSync(`${path}.session-secret`, "")
    const { fault } = await ownSessionSecret(acceptedYaml(`snapshot: { path: ${path} }`).snapshot)
    expect(fault).toBe(`${path}.session-secret holds no secret`)
    expect(readFileSync(`${path}.session-secret`, "utf8")).toBe("")
  }))
