import { Either, ParseResult, Schema } from "effect"
import { X509Certificate } from "node:crypto"
import type { PodId } from "../src/core/Pod.ts"
import type { PodTls } from "../src/core/PodAccess.ts"
import { readPlainFile, whyUnread } from "../src/discovery/plainFile.ts"
import type { ClientKey } from "../src/http/doors/clientKey.ts"
import type { PodSecrets } from "../src/http/doors/PodCredentials.ts"
import { checkPair, type TlsPair } from "../src/http/doors/TlsPair.ts"
import { clientKey, KeyList } from "./doorsSection.ts"
import type { GatewayConfig } from "./GatewayConfig.ts"
import type { Environment } from "./textSources.ts"

/** Everything secret that the configuration points to, read. */
export interface Secrets {
  readonly keys: ReadonlyArray<ClientKey>
  readonly pods: PodSecrets
  /** Undefined: clients come without TLS. */
  readonly tls: TlsPair | undefined
  /** Of session tokens, the one that signs first; undefined: the gateway takes one of its own. */
  readonly sessions: ReadonlyArray<string> | undefined
}

/** A list of keys is short, a certificate shorter. */
const FILE_BYTES_MAX = 4 * 1024 * 1024

type Doors = Pick<GatewayConfig, "answers" | "auth" | "limits" | "listen" | "podAccess">

/** Rejects with an Error that names the setting and the file, and never says what is in it. */
export const readSecrets = async (config: Doors, environment: Environment): Promise<Secrets> => ({
  keys: await readKeys(config),
  pods: {
    token: await readToken(config.podAccess, environment),
    tokens: await readPodTokens(config.podAccess),
    tls: await readPodTls(config.podAccess)
  },
  tls: config.listen.tls === undefined
    ? undefined
    : await readPair("listen.tls", config.listen.tls.certPath, config.listen.tls.keyPath),
  sessions: await readSessionSecrets(config.answers, environment)
})

/** Whether a file could change anything. */
export const namesFiles = ({ answers, auth, listen, podAccess }: Doors): boolean =>
  answers.sessionSecretsPath !== undefined || auth.keysPath !== undefined || listen.tls !== undefined ||
  podAccess.tokenPath !== undefined ||
  podAccess.caPath !== undefined || podAccess.certPath !== undefined || Object.keys(podAccess.tokenPaths).length > 0

const decodeKeys = Schema.decodeUnknownEither(KeyList, { onExcessProperty: "error" })

const readKeys = async ({ auth, limits }: Doors): Promise<ReadonlyArray<ClientKey>> => {
  const written = auth.keysPath === undefined ? [] : await readKeyFile(auth.keysPath)
  const keys = [...auth.keys.map(clientKey), ...written]
  if (keys.length > limits.keysMax) {
    throw new Error(`auth: there are ${keys.length} keys, more than limits.keysMax (${limits.keysMax})`)
  }
  const names = new Set(auth.keys.map(({ name }) => name))
  const digests = new Set(auth.keys.map(({ hash }) => hash))
  const twice = written.find(({ name, sha256 }) => names.has(name) || digests.has(sha256))
  if (twice !== undefined) throw new Error(`auth.keysPath: the key "${twice.name}" is one of auth.keys already`)
  return keys
}

const readKeyFile = async (path: string): Promise<ReadonlyArray<ClientKey>> => {
  const text = await readSecret("auth.keysPath", path)
  let value: unknown
  try {
    value = Bun.YAML.parse(text)
  } catch (cause) {
    throw new Error(`auth.keysPath: ${path} is not YAML`, { cause })
  }
  const decoded = decodeKeys(value)
  if (Either.isRight(decoded)) return decoded.right.map(clientKey)
  const issue = ParseResult.ArrayFormatter.formatErrorSync(decoded.left)[0]
  if (issue?._tag === "Unexpected") {
    throw new Error(`auth.keysPath: ${path}: [${String(issue.path[0])}] has a setting that keys don't have`)
  }
  const place = issue?.path.length === 0 ? "the list" : `[${issue?.path.join("].")}`
  // What is expected may be said, what is there not: it may be a key.
  const why = /^Expected (.*), actual /s.exec(issue?.message ?? "")?.[1]
  throw new Error(`auth.keysPath: ${path}: ${place} ${why === undefined ? issue?.message : `must be ${why}`}`)
}

const readToken = async (
  { tokenPath, tokenVariable }: GatewayConfig["podAccess"],
  environment: Environment
): Promise<string | undefined> => {
  if (tokenPath !== undefined) return tokenIn("podAccess.tokenPath", await readSecret("podAccess.tokenPath", tokenPath))
  if (tokenVariable === undefined) return undefined
  const text = environment[tokenVariable]
  if (text === undefined) throw new Error(`podAccess.tokenVariable: there is no variable ${tokenVariable}`)
  return tokenIn(`podAccess.tokenVariable: ${tokenVariable}`, text)
}

const readPodTokens = async ({ tokenPaths }: GatewayConfig["podAccess"]): Promise<ReadonlyMap<PodId, string>> => {
  const tokens = new Map<PodId, string>()
  for (const [id, path] of Object.entries(tokenPaths)) {
    const setting = `podAccess.tokenPaths.${id}`
    tokens.set(id as PodId, tokenIn(setting, await readSecret(setting, path)))
  }
  return tokens
}

/** Old ones stay for a while so that sessions outlive a change of the secret; each costs an HMAC a request. */
const SESSION_SECRETS_MAX = 8
/** As many as `openssl rand -hex 16` prints. */
const SESSION_SECRET_CHARS_MIN = 32

const readSessionSecrets = async (
  { sessionSecretsPath: path, sessionSecretsVariable: variable }: GatewayConfig["answers"],
  environment: Environment
): Promise<ReadonlyArray<string> | undefined> => {
  if (path !== undefined) {
    return sessionSecretsIn(`answers.sessionSecretsPath: ${path}`, await readSecret("answers.sessionSecretsPath", path))
  }
  if (variable === undefined) return undefined
  const text = environment[variable]
  if (text === undefined) throw new Error(`answers.sessionSecretsVariable: there is no variable ${variable}`)
  return sessionSecretsIn(`answers.sessionSecretsVariable: ${variable}`, text)
}

/** Throws an Error that says what is wrong with them, and never what they are. */
export const sessionSecretsIn = (setting: string, text: string): ReadonlyArray<string> => {
  const secrets = text.split(/\s+/).filter((word) => word !== "")
  if (secrets.length === 0) throw new Error(`${setting} holds no secret`)
  if (secrets.length > SESSION_SECRETS_MAX) {
    throw new Error(`${setting} holds ${secrets.length} secrets; ${SESSION_SECRETS_MAX} are the most`)
  }
  const weak = secrets.findIndex((secret) => secret.length < SESSION_SECRET_CHARS_MIN)
  if (weak < 0) return secrets
  throw new Error(
    `${setting}: secret ${weak + 1} is shorter than ${SESSION_SECRET_CHARS_MIN} characters; ` +
      "`openssl rand -hex 32` makes one"
  )
}

const tokenIn = (setting: string, text: string): string => {
  const token = text.trim()
  if (/^[\x21-\x7e]+$/.test(token)) return token
  throw new Error(`${setting} holds no token: it must be one word of ASCII`)
}

const readPodTls = async ({ caPath, certPath, keyPath }: GatewayConfig["podAccess"]): Promise<PodTls> => {
  const ca = caPath === undefined ? {} : { ca: await readAuthorities(caPath) }
  return certPath === undefined || keyPath === undefined
    ? ca
    : { ...ca, ...await readPair("podAccess.certPath", certPath, keyPath) }
}

const readAuthorities = async (path: string): Promise<string> => {
  const ca = await readSecret("podAccess.caPath", path)
  try {
    if (new X509Certificate(ca).validTo === "") throw new Error("no date")
    return ca
  } catch (cause) {
    throw new Error(`podAccess.caPath: ${path} is no PEM file of certificates`, { cause })
  }
}

const readPair = async (setting: string, certPath: string, keyPath: string): Promise<TlsPair> => {
  const pair = { cert: await readSecret(setting, certPath), key: await readSecret(setting, keyPath) }
  try {
    checkPair(pair)
  } catch (cause) {
    throw new Error(
      `${setting}: ${certPath} and ${keyPath}: ${cause instanceof Error ? cause.message : String(cause)}`,
      {
        cause
      }
    )
  }
  return pair
}

const readSecret = async (setting: string, path: string): Promise<string> => {
  try {
    return await readPlainFile(path, FILE_BYTES_MAX)
  } catch (cause) {
    throw new Error(`${setting}: ${path} ${whyUnread(cause)}`, { cause })
  }
}
