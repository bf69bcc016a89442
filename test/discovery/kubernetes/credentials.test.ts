import { describe, expect, test } from "bun:test"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { inClusterAccess } from "../../../src/discovery/kubernetes/inCluster.ts"
import { tlsFile } from "./ApiServer.ts"
import { tokenAccess } from "./followCluster.ts"
import { inferencePool, podsPath, poolsPath, vllmPod } from "./objects.ts"
import { useCluster } from "./useCluster.ts"

const cluster = useCluster()

describe("credentials", () => {
  test("of another token are tried again until they are good, and the pods stay meanwhile", async () => {
    let token = "secret"
    const { nextLog, nextSet } = await cluster.startPool({ readAccess: tokenAccess(cluster.server, () => token) })
    await nextLog()
    cluster.server.tokens.clear()
    cluster.server.tokens.add("fresh")
    cluster.server.finishWatches()
    expect(await nextLog()).toContain("401: the API server does not accept our credentials: Unauthorized; the last")
    token = "fresh"
    await cluster.watching(podsPath)
    cluster.server.put(podsPath, vllmPod("c", "10.0.0.3"))
    expect(await nextSet()).toContain("10.0.0.3:8000")
    expect(cluster.server.asked.at(-1)?.authorization).toBe("Bearer fresh")
  })

  test("of a service account follow the files that the kubelet replaces", async () => {
    const directory = mkdtempSync(join(tmpdir(), "account-"))
    try {
      writeFileSync(join(directory, "token"), "secret\n")
      writeFileSync(join(directory, "ca.crt"), readFileSync(tlsFile("ca.crt")))
      writeFileSync(join(directory, "namespace"), "default")
      const { nextSet } = await cluster.startPool({
        readAccess: inClusterAccess({ host: "127.0.0.1", port: String(cluster.server.port), directory }),
        credentialsMaxAgeMs: 0
      })
      writeFileSync(join(directory, "token"), "fresh")
      cluster.server.tokens.add("fresh")
      cluster.server.tokens.delete("secret")
      cluster.server.cutConnections()
      await cluster.server.wasAsked(
        "anything with the new token",
        ({ authorization }) => authorization === "Bearer fresh"
      )
      cluster.server.put(podsPath, vllmPod("c", "10.0.0.3"))
      expect(await nextSet()).toContain("10.0.0.3:8000")
    } finally {
      rmSync(directory, { recursive: true })
    }
  })

  const certificate = async () => {
    const right = await tokenAccess(cluster.server)()
    const tls = {
      ...right.tls,
      cert: readFileSync(tlsFile("client.crt"), "utf8"),
      key: readFileSync(tlsFile("client.key"), "utf8")
    }
    return { ...right, token: undefined, tls }
  }

  test("may be a client certificate", async () => {
    await cluster.startPool({ readAccess: certificate })
    expect(cluster.server.asked.every(({ authorization, certified }) => certified && authorization === undefined)).toBe(
      true
    )
  })

  test("that are wrong fail the start with the reason", async () => {
    const { nextSet } = cluster.start({ readAccess: tokenAccess(cluster.server, () => "wrong") })
    expect(await nextSet()).toMatch(
      /^failed: kubernetes InferencePool vllm: can't list InferencePool vllm in default: 401/
    )
  })

  test.each([
    ["other-ca.crt", /https:\/\/127\.0\.0\.1:\d+: its certificate is not signed by the CA that we have/],
    [undefined, /its certificate is not signed by the CA that we have/]
  ])("with the CA %p do not trust the server", async (ca, why) => {
    const right = await tokenAccess(cluster.server)()
    const tls = { ...right.tls, ca: ca === undefined ? undefined : readFileSync(tlsFile(ca), "utf8") }
    const { nextSet } = cluster.start({ readAccess: async () => ({ ...right, tls }) })
    expect(await nextSet()).toMatch(why)
    expect(cluster.server.asked).toEqual([])
  })

  test("may name the server otherwise than its address, or trust anybody", async () => {
    cluster.server.put(poolsPath, inferencePool())
    const right = await tokenAccess(cluster.server)()
    const named = { ...right.tls, serverName: "kubernetes.default.svc" }
    expect(await (cluster.start({ readAccess: async () => ({ ...right, tls: named }) })).nextSet()).toBe("")
    const wrong = { ...right.tls, serverName: "kubernetes.elsewhere" }
    expect(await (cluster.start({ readAccess: async () => ({ ...right, tls: wrong }) })).nextSet()).toContain(
      "for another name"
    )
    const insecure = { ...right.tls, ca: undefined, insecure: true }
    expect(await (cluster.start({ readAccess: async () => ({ ...right, tls: insecure }) })).nextSet()).toBe("")
  })

  test("that can't be read fail the start with what to do", async () => {
    const nowhere = inClusterAccess({ host: undefined, port: undefined, directory: "/none" })
    const { nextSet } = cluster.start({ readAccess: nowhere })
    expect(await nextSet()).toStartWith(
      "failed: kubernetes InferencePool vllm: can't read the credentials: this is no container of a cluster"
    )
  })

  test("that may not list fail the start with the right that is missing", async () => {
    cluster.server.put(poolsPath, inferencePool())
    cluster.server.forbidden.add(podsPath)
    const { nextSet } = cluster.start()
    expect(await nextSet()).toContain(
      "can't list pods app=vllm in default: 403: we may not; grant the verbs list and watch"
    )
  })

  test("do not follow a redirect", async () => {
    cluster.server.failNext(/inferencepools/, { status: 307, headers: { location: "https://127.0.0.1:1/" } })
    expect(await (cluster.start()).nextSet()).toContain("can't list InferencePool vllm in default: 307")
  })
})
