import type { PodId } from "../src/core/Pod.ts"
import type { PodTls } from "../src/core/PodAccess.ts"
import type { ClientKey } from "../src/http/doors/clientKey.ts"
import type { PodSecrets } from "../src/http/doors/PodCredentials.ts"
import { BadPair, checkPair, readCertificates, type TlsPair } from "../src/http/doors/TlsPair.ts"
import { clientKey } from "./doorsSection.ts"
import type { GatewayConfig } from "./GatewayConfig.ts"
import { readKeyFile } from "./keyFile.ts"
import { readTextOf } from "./settingFile.ts"
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
    : await readPair(
      "listen.tls.certPath",
      config.listen.tls.certPath,
      "listen.tls.keyPath",
      config.listen.tls.keyPath
    ),
  sessions: await readSessionSecrets(config.answers, environment)
})

/** Whether a file could change anything. */
export const namesFiles = ({ answers, auth, listen, podAccess }: Doors): boolean =>
  answers.sessionSecretsPath !== undefined || auth.keysPath !== undefined || listen.tls !== undefined ||
  podAccess.tokenPath !== undefined ||
  podAccess.caPath !== undefined || podAccess.certPath !== undefined || Object.keys(podAccess.tokenPaths).length > 0

const readKeys = async ({ auth, limits }: Doors): Promise<ReadonlyArray<ClientKey>> => {
  const own = auth.keys.map(clientKey)
  if (auth.keysPath === undefined) return bounded(own, limits.keysMax)
  return bounded([...own, ...await readKeyFile(auth.keysPath, own, FILE_BYTES_MAX)], limits.keysMax)
}

const bounded = (keys: ReadonlyArray<ClientKey>, keysMax: number): ReadonlyArray<ClientKey> => {
  if (keys.length <= keysMax) return keys
  throw new Error(`auth: there are ${keys.length} keys, more than limits.keysMax (${keysMax})`)
}

const readToken = async (
  { tokenPath, tokenVariable }: GatewayConfig["podAccess"],
  environment: Environment
): Promise<string | undefined> => {
  if (tokenPath !== undefined) {
    return tokenIn(`podAccess.tokenPath: ${tokenPath}`, await readSecret("podAccess.tokenPath", tokenPath))
  }
  if (tokenVariable === undefined) return undefined
  const text = environment[tokenVariable]
  if (text === undefined) throw new Error(`podAccess.tokenVariable: there is no variable ${tokenVariable}`)
  return tokenIn(`podAccess.tokenVariable: ${tokenVariable}`, text)
}

const readPodTokens = async ({ tokenPaths }: GatewayConfig["podAccess"]): Promise<ReadonlyMap<PodId, string>> => {
  const tokens = new Map<PodId, string>()
  for (const [id, path] of Object.entries(tokenPaths)) {
    const setting = `podAccess.tokenPaths.${id}`
    tokens.set(id as PodId, tokenIn(`${setting}: ${path}`, await readSecret(setting, path)))
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
  throw new Error(`${setting} holds no token; it must be one word of ASCII, with nothing before or behind it`)
}

const readPodTls = async ({ caPath, certPath, keyPath }: GatewayConfig["podAccess"]): Promise<PodTls> => {
  const ca = caPath === undefined ? {} : { ca: await readAuthorities(caPath) }
  return certPath === undefined || keyPath === undefined
    ? ca
    : { ...ca, ...await readPair("podAccess.certPath", certPath, "podAccess.keyPath", keyPath) }
}

const readAuthorities = async (path: string): Promise<string> => {
  const ca = await readSecret("podAccess.caPath", path)
  try {
    readCertificates(ca)
    return ca
  } catch (cause) {
    throw new Error(`podAccess.caPath: ${path} ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  }
}

/** Rejects with an Error that names the setting and the file of the part that is wrong. */
export const readPair = async (
  certSetting: string,
  certPath: string,
  keySetting: string,
  keyPath: string
): Promise<TlsPair> => {
  const pair = { cert: await readSecret(certSetting, certPath), key: await readSecret(keySetting, keyPath) }
  try {
    checkPair(pair)
  } catch (cause) {
    if (!(cause instanceof BadPair)) throw cause
    const where = cause.part === "cert" ? `${certSetting}: ${certPath}` : `${keySetting}: ${keyPath}`
    const beside = cause.message.endsWith("the certificate") ? ` ${certPath}; replace both files together` : ""
    throw new Error(`${where} ${cause.message}${beside}`, { cause })
  }
  return pair
}

const readSecret = (setting: string, path: string): Promise<string> => readTextOf(setting, path, FILE_BYTES_MAX)
