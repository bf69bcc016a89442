import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs"
import http2 from "node:http2"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type PodAddress, podAddressFromUrl } from "../../src/core/Pod.ts"
import { SessionTokens } from "../../src/http/doors/SessionTokens.ts"
import { base64, EnvoyStream, headerMap } from "../extproc/EnvoyStream.ts"
import { chatBody, chatHeaders, fullDuplex } from "../extproc/TestPicker.ts"
import { emulatedModel, startTestFleet, type TestFleet } from "../lib/testFleet.ts"
import { startTestGateway, type TestGateway } from "../lib/testGateway.ts"
import { startReloadedGateway } from "../lib/reloadedGateway.ts"

const directory = mkdtempSync(join(tmpdir(), "warmroute-tokens-"))
const [first, second] = ["a".repeat(32), "b".repeat(32)]
const header = "x-session-token"

let fleet: TestFleet
beforeAll(async () => {
  fleet = await startTestFleet(3)
})
afterAll(async () => {
  await fleet?.stop()
  rmSync(directory, { recursive: true })
})

const pod = (index: number): PodAddress => podAddressFromUrl(fleet.urls[index] ?? "") as PodAddress

/** The least busy pod, which is a random one here, unless a token says otherwise. */
const settings = (answers: Record<string, unknown>, more: Record<string, unknown> = {}) => ({
  policy: {
    type: "weighted",
    filters: [{ type: "session-affinity-filter" }],
    scorers: [],
    picker: { type: "random-picker" }
  },
  extproc: { listen: { hostname: "127.0.0.1", port: 0 } },
  answers: { sessionHeader: header, ...answers },
  ...more
})

interface Answer {
  readonly pod: string
  readonly token: string
}

type Door = (gateway: Pick<TestGateway, "url" | "handle">, token?: string) => Promise<Answer>

const bringing = (token: string | undefined): Record<string, string> => token === undefined ? {} : { [header]: token }

const overHttp: Door = async ({ url }, token) => {
  const answer = await fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", ...bringing(token) },
    body: JSON.stringify({ model: emulatedModel, prompt: "x", max_tokens: 1 })
  })
  await answer.text()
  return { pod: answer.headers.get("x-warmroute-pod") ?? "", token: answer.headers.get(header) ?? "" }
}

const overEnvoy: Door = async ({ handle }, token) => {
  const session = http2.connect(`http://127.0.0.1:${handle.picker?.port}`)
  const stream = new EnvoyStream(session)
  stream.tell({
    requestHeaders: { headers: headerMap({ ...chatHeaders, ...bringing(token) }) },
    protocolConfig: fullDuplex
  })
  stream.tell({ requestBody: { body: base64(chatBody({ model: emulatedModel })), endOfStream: true } })
  const picked = (await stream.hear()).destination?.split(",")[0] ?? ""
  stream.tell({ responseHeaders: { headers: headerMap({ ":status": "200" }), endOfStream: true } })
  await stream.hear()
  const answer = await stream.hear()
  stream.halfClose()
  session.destroy()
  return { pod: picked, token: answer.headers.get(header) ?? "" }
}

const doors: ReadonlyArray<readonly [name: string, door: Door]> = [["HTTP", overHttp], ["Envoy", overEnvoy]]

/** Pods of this many requests with the token; one session's has one. */
const podsOf = async (
  door: Door,
  gateway: Pick<TestGateway, "url" | "handle">,
  token: string
): Promise<Set<string>> => {
  const pods = new Set<string>()
  for (let i = 0; i < 24; i++) pods.add((await door(gateway, token)).pod)
  return pods
}

const secretsFile = (name: string, ...secrets: ReadonlyArray<string | undefined>): string => {
  const path = join(directory, name)
  writeFileSync(path, secrets.join("\n"))
  return path
}

describe.each(doors)("over %s", (_name, door) => {
  test("a token of the gateway's brings its session back, and others choose nothing and are replaced", async () => {
    const sessionSecretsPath = secretsFile("one", first)
    const gateway = await startTestGateway({ pods: fleet.urls, config: settings({ sessionSecretsPath }) })
    try {
      await gateway.healthyPods(3)
      const { pod: own, token } = await door(gateway)
      expect(await podsOf(door, gateway, token)).toEqual(new Set([own]))
      const target = pod(0)
      const good = new SessionTokens({ form: "signed", secrets: [first ?? ""] }).tokenOf(target)
      expect(await podsOf(door, gateway, good)).toEqual(new Set([target.id]))
      const forged = [
        new SessionTokens({ form: "plain" }).tokenOf(target),
        new SessionTokens({ form: "signed", secrets: [second ?? ""] }).tokenOf(target),
        `${good.slice(0, -1)}${good.endsWith("A") ? "Q" : "A"}`,
        target.id
      ]
      for (const text of forged) {
        expect((await podsOf(door, gateway, text)).size).toBeGreaterThan(1)
        const replaced = await door(gateway, text)
        expect(replaced.token).not.toBe(text)
        expect(await podsOf(door, gateway, replaced.token)).toEqual(new Set([replaced.pod]))
      }
    } finally {
      await gateway.stop()
    }
  }, 30_000)
})

test("a token from one door is good at the other", async () => {
  const gateway = await startTestGateway({ pods: fleet.urls, config: settings({}) })
  try {
    await gateway.healthyPods(3)
    const overOne = await overHttp(gateway)
    expect(await podsOf(overEnvoy, gateway, overOne.token)).toEqual(new Set([overOne.pod]))
    const overOther = await overEnvoy(gateway)
    expect(await podsOf(overHttp, gateway, overOther.token)).toEqual(new Set([overOther.pod]))
  } finally {
    await gateway.stop()
  }
}, 30_000)

test("sessions outlive a restart by a secret beside the snapshot that nobody else may read", async () => {
  const snapshot = join(directory, "kept", "warm.sqlite")
  const live = async (token?: string): Promise<Answer> => {
    const gateway = await startTestGateway({ pods: fleet.urls, snapshot, config: settings({}) })
    try {
      await gateway.healthyPods(3)
      if (token !== undefined) expect((await podsOf(overHttp, gateway, token)).size).toBe(1)
      return await overHttp(gateway, token)
    } finally {
      await gateway.stop()
    }
  }
  const before = await live()
  expect(await live(before.token)).toEqual(before)
  expect((statSync(`${snapshot}.session-secret`).mode & 0o777).toString(8)).toBe("600")
}, 30_000)

test("without a place to keep it the secret ends with the process", async () => {
  const tokens: Array<string> = []
  for (let life = 0; life < 2; life++) {
    const gateway = await startTestGateway({ pods: fleet.urls.slice(0, 1), config: settings({}) })
    await gateway.healthyPods(1)
    tokens.push((await overHttp(gateway)).token)
    await gateway.stop()
  }
  expect(tokens[0]).not.toBe(tokens[1])
}, 30_000)

test("a reload takes other secrets, with the old one behind them, and another form", async () => {
  const values = (answers: Record<string, unknown>) => settings(answers, { pods: fleet.urls })
  const gateway = await startReloadedGateway(values({ sessionSecretsPath: secretsFile("old", first) }))
  try {
    await gateway.healthyPods(3)
    const old = await overHttp(gateway)
    await gateway.change(values({ sessionSecretsPath: secretsFile("both", second, first) }))
    expect(await podsOf(overHttp, gateway, old.token)).toEqual(new Set([old.pod]))
    const renewed = await overHttp(gateway, old.token)
    expect([renewed.pod, renewed.token === old.token]).toEqual([old.pod, false])
    await gateway.change(values({ sessionSecretsPath: secretsFile("new", second) }))
    expect(await podsOf(overHttp, gateway, renewed.token)).toEqual(new Set([old.pod]))
    expect((await podsOf(overHttp, gateway, old.token)).size).toBeGreaterThan(1)
    await gateway.change(values({ sessionTokens: "plain" }))
    expect(await podsOf(overHttp, gateway, btoa(pod(1).id))).toEqual(new Set([pod(1).id]))
  } finally {
    await gateway.stop()
  }
}, 30_000)
