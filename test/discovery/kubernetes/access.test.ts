import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { inClusterAccess } from "../../../src/discovery/kubernetes/inCluster.ts"
import { kubeconfigAccess } from "../../../src/discovery/kubernetes/kubeconfig.ts"
import { tlsFile } from "./ApiServer.ts"

let directory = ""
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "kube-"))
})
afterAll(() => rmSync(directory, { recursive: true }))

const pem = readFileSync(tlsFile("ca.crt"), "utf8")
const base64 = Buffer.from(pem).toString("base64")

const config = (cluster: string, user: string, context = "{cluster: c, user: u, namespace: fleet}"): string => `
apiVersion: v1
kind: Config
current-context: x
contexts: [{name: x, context: ${context}}, {name: y, context: {cluster: c}}]
clusters: [{name: c, cluster: ${cluster}}]
users: [{name: u, user: ${user}}]
`

const read = (text: string, context?: string) => {
  const path = join(directory, "config")
  writeFileSync(path, text)
  return kubeconfigAccess({ path, context })()
}

const cluster = `{server: "https://10.0.0.1:6443/", certificate-authority-data: ${base64}, tls-server-name: kube}`

describe("a kubeconfig", () => {
  test("gives server, namespace, CA and token of its current context", async () => {
    expect(await read(config(cluster, "{token: t}"))).toEqual({
      server: "https://10.0.0.1:6443",
      namespace: "fleet",
      token: "t",
      tls: { ca: pem, cert: undefined, key: undefined, serverName: "kube", insecure: false }
    })
  })

  test("gives another context when that is asked for", async () => {
    expect(await read(config(cluster, "{token: t}"), "y")).toMatchObject({ namespace: "default", token: undefined })
  })

  test("may name files, which start at it", async () => {
    writeFileSync(join(directory, "ca.crt"), pem)
    writeFileSync(join(directory, "token"), "from-file\n")
    const access = await read(config(
      "{server: \"https://k\", certificate-authority: ca.crt}",
      "{token: t, tokenFile: token, client-certificate: ca.crt, client-key: ca.crt}"
    ))
    expect(access).toMatchObject({ token: "from-file", tls: { ca: pem, cert: pem, key: pem } })
  })

  test("may trust any certificate", async () => {
    const access = await read(config("{server: \"https://k\", insecure-skip-tls-verify: true}", "{}"))
    expect(access.tls.insecure).toBe(true)
  })

  test.each([
    ["a: [", "is not YAML: "],
    ["7", "is not a map"],
    ["{}", "names no current-context; set discovery.kubernetes.context"],
    ["current-context: z", "has no context \"z\""],
    ["{current-context: z, contexts: 7}", "contexts is not a list"],
    [config(cluster, "{}", "{user: u}"), "the context \"x\" names no cluster"],
    [config(cluster, "{}", "{cluster: gone}"), "has no cluster \"gone\""],
    [config("{}", "{}"), "the cluster \"c\" has no server"],
    [config("{server: k8s}", "{}"), "the server \"k8s\" of the cluster \"c\" is no URL of https"],
    [
      config("{server: \"https://k\", certificate-authority-data: \"####\"}", "{}"),
      "certificate-authority-data is not the base64"
    ],
    [config("{server: \"https://k\", certificate-authority: none.crt}", "{}"), "the certificate-authority "],
    [config("{server: \"https://k\", proxy-url: \"http://p\"}", "{}"), "has a proxy-url; set the variable HTTPS_PROXY"],
    [config("{server: \"http://k\"}", "{token: t}"), "a token would travel there in the clear"],
    [config(cluster, `{client-certificate-data: ${base64}}`), "a client-certificate needs its client-key"],
    [
      config(cluster, "{exec: {command: aws, args: [eks, get-token]}}"),
      "from the exec plugin \"aws\", and warmroute runs no programs; give it a token"
    ],
    [config(cluster, "{auth-provider: {name: gcp}}"), "has an auth-provider"],
    [config(cluster, "{username: admin, password: x}"), "has a password"],
    [config(cluster, "{token: t, as: root}"), "impersonates another one"]
  ])("is refused in words: %p", async (text, why) => {
    await expect(read(text)).rejects.toThrow(why)
  })

  test("that is not there is refused by its name", async () => {
    await expect(kubeconfigAccess({ path: join(directory, "none"), context: undefined })())
      .rejects.toThrow(/^the kubeconfig .*none does not exist$/)
  })
})

describe("the service account of a pod", () => {
  test("gives server, namespace, CA and token", async () => {
    for (const [name, text] of [["token", "t\n"], ["ca.crt", pem], ["namespace", "fleet\n"]] as const) {
      writeFileSync(join(directory, name), text)
    }
    expect(await inClusterAccess({ host: "fd00::1", port: "443", directory })()).toEqual({
      server: "https://[fd00::1]:443",
      namespace: "fleet",
      token: "t",
      tls: { ca: pem, cert: undefined, key: undefined, serverName: undefined, insecure: false }
    })
  })

  test("outside of a cluster is refused with what to do", async () => {
    await expect(inClusterAccess({ host: undefined, port: "443", directory })())
      .rejects.toThrow("outside of one set discovery.kubernetes.kubeconfig")
  })

  test("that is not mounted is refused by the file that is missing", async () => {
    await expect(inClusterAccess({ host: "k", port: "443", directory: join(directory, "none") })())
      .rejects.toThrow(/the service account's token .*none\/token does not exist/)
  })
})
