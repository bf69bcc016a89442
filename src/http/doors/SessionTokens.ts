import { createHmac, timingSafeEqual } from "node:crypto"
import type { PodAddress } from "../../core/Pod.ts"
import { nameInToken } from "../../core/sessionToken.ts"

/** Of the HMAC-SHA256, its first half: RFC 2104 section 5. */
const tagBytes = 16

/** So that a tag says nothing of other things signed with the same secret. */
const purpose = "warmroute session token\n"

/** Clients send them; a Kubernetes name has at most 253 characters, and so has a namespace. */
const tokenCharsMax = 1024

/** `signed`: by the first secret, and good by any. `plain`: as llm-d's picker has them, which anybody can write. */
export type TokenForm =
  | { readonly form: "signed"; readonly secrets: ReadonlyArray<string> }
  | { readonly form: "plain" }

/**
 * What an answer carries so that the next request of its session can come back to the pod: the pod's name and a tag that
 * only the gateway can make, in base64url. A client can go back to a pod that it was given, and name no other. It is not
 * bound to a client: whoever wants to can collect tokens of his own for every pod, and either door takes the other's.
 */
export class SessionTokens {
  private form: TokenForm
  /** A pod's token is the same until the secrets change, so it is made once. */
  private written = new WeakMap<PodAddress, string>()

  constructor(form: TokenForm) {
    this.form = form
  }

  /** For requests and answers from now on. */
  replace(form: TokenForm): void {
    this.form = form
    this.written = new WeakMap()
  }

  /** Empty while there is no secret to sign with. */
  tokenOf(address: PodAddress): string {
    const known = this.written.get(address)
    if (known !== undefined) return known
    const token = this.write(nameInToken(address))
    this.written.set(address, token)
    return token
  }

  /** Name of the token's pod; empty when it is none of ours. The comparison takes the same time wherever it fails. */
  podOf(token: string): string {
    if (token === "" || token.length > tokenCharsMax) return ""
    return this.form.form === "plain" ? Buffer.from(token, "base64").toString() : signedName(token, this.form.secrets)
  }

  private write(name: string): string {
    const body = Buffer.from(name)
    if (this.form.form === "plain") return body.toString("base64")
    const [secret] = this.form.secrets
    if (secret === undefined) return ""
    return Buffer.concat([body, tagOf(secret, body)]).toString("base64url")
  }
}

const tagOf = (secret: string, name: Uint8Array): Buffer =>
  createHmac("sha256", secret).update(purpose).update(name).digest().subarray(0, tagBytes)

const signedName = (token: string, secrets: ReadonlyArray<string>): string => {
  const bytes = Buffer.from(token, "base64url")
  // The decoder passes over what is no base64url, and one pod has one token.
  if (bytes.length <= tagBytes || bytes.toString("base64url") !== token) return ""
  const name = bytes.subarray(0, -tagBytes)
  const tag = bytes.subarray(-tagBytes)
  let good = false
  for (const secret of secrets) good = timingSafeEqual(tagOf(secret, name), tag) || good
  return good ? name.toString() : ""
}
