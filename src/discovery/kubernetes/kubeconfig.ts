import { dirname, resolve } from "node:path"
import {
  type ClusterAccess,
  ClusterAccessError,
  type ClusterTls,
  type ReadAccess,
  readCredential
} from "./ClusterAccess.ts"
import { type Fields, fieldsOf, listOf, textOf } from "./fields.ts"

export interface KubeconfigPlace {
  readonly path: string
  /** Name of the context; undefined: the file's current one. */
  readonly context: string | undefined
}

/** Credentials of a kubeconfig file, as kubectl reads it: relative paths start at the file. */
export const kubeconfigAccess = ({ context, path }: KubeconfigPlace): ReadAccess => async () => {
  const file = await readKubeconfig(path)
  const wanted = context ?? textOf(file["current-context"])
  if (wanted === undefined) refuse(path, "names no current-context; set discovery.kubernetes.context")
  const chosen = entryOf(path, file, "context", wanted)
  const clusterName = textOf(chosen["cluster"]) ?? refuse(path, `the context "${wanted}" names no cluster`)
  const cluster = entryOf(path, file, "cluster", clusterName)
  const userName = textOf(chosen["user"])
  const user = userName === undefined ? {} : entryOf(path, file, "user", userName)
  const server = serverOf(path, clusterName, cluster)
  refuseForeignWays(path, userName ?? "", user, cluster)
  const token = await tokenOf(path, user)
  if (token !== undefined && !server.startsWith("https:")) {
    refuse(path, `the server ${server} is not https, and a token would travel there in the clear`)
  }
  return { server, namespace: textOf(chosen["namespace"]) ?? "default", token, tls: await tlsOf(path, cluster, user) }
}

const refuse: (path: string, why: string) => never = (path, why) => {
  throw new ClusterAccessError({ why: `the kubeconfig ${path}: ${why}` })
}

const readKubeconfig = async (path: string): Promise<Fields> => {
  const text = await readCredential(path, "the kubeconfig")
  let value: unknown
  try {
    value = Bun.YAML.parse(text)
  } catch (cause) {
    refuse(path, `is not YAML: ${cause instanceof Error ? cause.message : String(cause)}`)
  }
  return fieldsOf(value) ?? refuse(path, "is not a map")
}

/** The entry of that name in `clusters`, `contexts` or `users`. */
const entryOf = (path: string, file: Fields, kind: "cluster" | "context" | "user", name: string): Fields => {
  const entries = listOf(file[`${kind}s`]) ?? refuse(path, `${kind}s is not a list`)
  const entry = entries.map(fieldsOf).find((each) => each?.["name"] === name)
  if (entry === undefined) refuse(path, `has no ${kind} "${name}"`)
  return fieldsOf(entry?.[kind]) ?? refuse(path, `the ${kind} "${name}" is not a map`)
}

const serverOf = (path: string, name: string, cluster: Fields): string => {
  const server = textOf(cluster["server"]) ?? refuse(path, `the cluster "${name}" has no server`)
  if (!URL.canParse(server) || !/^https?:$/.test(new URL(server).protocol)) {
    refuse(path, `the server "${server}" of the cluster "${name}" is no URL of https`)
  }
  return server.replace(/\/+$/, "")
}

/** Ways to prove who we are that need a program or a protocol which we don't have. */
const refuseForeignWays = (path: string, name: string, user: Fields, cluster: Fields): void => {
  const instead = "give it a token (`kubectl create token`), a tokenFile or a client certificate"
  const plugin = fieldsOf(user["exec"])
  if (plugin !== undefined) {
    refuse(
      path,
      `the user "${name}" takes its credentials from the exec plugin "${textOf(plugin["command"]) ?? "?"}", ` +
        `and warmroute runs no programs; ${instead}`
    )
  }
  if (user["auth-provider"] !== undefined) {
    refuse(path, `the user "${name}" has an auth-provider, which Kubernetes itself dropped; ${instead}`)
  }
  if (user["username"] !== undefined || user["password"] !== undefined) {
    refuse(path, `the user "${name}" has a password, which no API server takes any more; ${instead}`)
  }
  if (Object.keys(user).some((key) => key === "as" || key.startsWith("as-"))) {
    refuse(path, `the user "${name}" impersonates another one, which warmroute can't; name that one itself`)
  }
  if (cluster["proxy-url"] !== undefined) {
    refuse(path, "has a proxy-url; set the variable HTTPS_PROXY instead")
  }
}

/** As in kubectl the file wins, since it may be replaced. */
const tokenOf = async (path: string, user: Fields): Promise<string | undefined> => {
  const file = textOf(user["tokenFile"])
  if (file === undefined) return textOf(user["token"])
  return (await readCredential(resolve(dirname(path), file), "the token")).trim()
}

/** A PEM text that stands in the file as base64 (`…-data`, which wins) or in a file of its own. */
const pemOf = async (path: string, fields: Fields, key: string): Promise<string | undefined> => {
  const data = textOf(fields[`${key}-data`])
  if (data !== undefined) {
    const pem = Buffer.from(data, "base64").toString("utf8")
    return pem.includes("-----BEGIN ") ? pem : refuse(path, `${key}-data is not the base64 of a PEM text`)
  }
  const file = textOf(fields[key])
  return file === undefined ? undefined : readCredential(resolve(dirname(path), file), `the ${key}`)
}

const tlsOf = async (path: string, cluster: Fields, user: Fields): Promise<ClusterTls> => {
  const [ca, cert, key] = await Promise.all([
    pemOf(path, cluster, "certificate-authority"),
    pemOf(path, user, "client-certificate"),
    pemOf(path, user, "client-key")
  ])
  if ((cert === undefined) !== (key === undefined)) {
    refuse(path, "a client-certificate needs its client-key, and the key its certificate")
  }
  const insecure = cluster["insecure-skip-tls-verify"] === true
  return { ca, cert, key, serverName: textOf(cluster["tls-server-name"]), insecure } satisfies ClusterAccess["tls"]
}
