import { randomBytes, randomUUID } from "node:crypto"
import { link, mkdir, rm, writeFile } from "node:fs/promises"
import { dirname } from "node:path"
import { readPlainFile, whyUnread } from "../src/discovery/plainFile.ts"
import type { GatewayConfig } from "./GatewayConfig.ts"
import { sessionSecretsIn } from "./secretFiles.ts"

const SECRET_BYTES = 32
const FILE_BYTES_MAX = 4096

export interface OwnSessionSecret {
  readonly secret: string
  /** Why it is not kept, so that sessions end with the process; undefined: it is. */
  readonly fault: string | undefined
}

/**
 * The gateway's own secret of session tokens, kept beside its snapshot and readable by its user alone; made when there is
 * none. Never rejects: what can't be kept is new in each life.
 */
export const ownSessionSecret = async (
  { enabled, path: snapshotPath }: GatewayConfig["snapshot"]
): Promise<OwnSessionSecret> => {
  const made = randomBytes(SECRET_BYTES).toString("hex")
  if (!enabled) return { secret: made, fault: "snapshots are off" }
  const path = `${snapshotPath}.session-secret`
  try {
    if (!await Bun.file(path).exists()) await put(path, made)
    const [secret = made] = sessionSecretsIn(path, await readPlainFile(path, FILE_BYTES_MAX))
    return { secret, fault: undefined }
  } catch (cause) {
    const why = whyUnread(cause)
    return { secret: made, fault: why.startsWith(path) ? why : `${path} ${why}` }
  }
}

/** Whole or not at all, and never in the place of one that another gateway has just put there. */
const put = async (path: string, secret: string): Promise<void> => {
  // In containers every gateway may have the same process id.
  const draft = `${path}.${randomUUID()}`
  await mkdir(dirname(path), { recursive: true })
  try {
    await writeFile(draft, `${secret}\n`, { mode: 0o600, flush: true })
    await link(draft, path).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== "EEXIST") throw cause
    })
  } finally {
    await rm(draft, { force: true })
  }
}
