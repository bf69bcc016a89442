import { Data } from "effect"
import { ClusterAccessError } from "./ClusterAccess.ts"

/** A question to the API server that failed; `what` was asked, such as `list pods in default`. */
export class ApiFault extends Data.TaggedError("ApiFault")<{
  readonly what: string
  /** HTTP status, or that of a `Status` object in a watch; 0: no answer. */
  readonly status: number
  /** In words, without `what`. */
  readonly why: string
  /** The server asks to wait so long. */
  readonly retryAfterMs: number | undefined
}> {
  override get message(): string {
    return `can't ${this.what}: ${this.why}`
  }

  /** What we know is too old for the server: list anew. */
  get expired(): boolean {
    return this.status === 410
  }
}

const adviceByStatus: Readonly<Record<number, string>> = {
  401: "the API server does not accept our credentials",
  403: "we may not; grant the verbs list and watch, as config/kubernetes does",
  404: "the API server knows no such resource, is its CRD installed?",
  410: "what we know is too old for the API server",
  429: "the API server is overloaded",
  503: "the API server is unavailable"
}

/** The fault of an answer with an error status; `said` is the message in its body. */
export const faultOfStatus = (
  what: string,
  status: number,
  said: string | undefined,
  retryAfterMs: number | undefined
): ApiFault => {
  const advice = adviceByStatus[status]
  const parts = [...(advice === undefined ? [] : [advice]), ...(said === undefined ? [] : [said])]
  return new ApiFault({ what, status, why: [`${status}`, ...parts].join(": "), retryAfterMs })
}

const causeByCode: Readonly<Record<string, string>> = {
  ConnectionRefused: "the connection is refused",
  ConnectionClosed: "the connection was closed",
  ECONNREFUSED: "the connection is refused",
  ECONNRESET: "the connection was cut",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "its certificate is not signed by the CA that we have",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "its certificate is not signed by the CA that we have",
  SELF_SIGNED_CERT_IN_CHAIN: "its certificate is not signed by the CA that we have",
  DEPTH_ZERO_SELF_SIGNED_CERT: "its certificate is signed by itself, not by the CA that we have",
  ERR_TLS_CERT_ALTNAME_INVALID: "its certificate is for another name",
  CERT_HAS_EXPIRED: "its certificate has expired"
}

/** The fault of a question that got no answer, or half of one. */
export const faultOfCause = (what: string, server: string, cause: unknown): ApiFault => {
  if (cause instanceof ApiFault) return cause
  if (cause instanceof ClusterAccessError) {
    return new ApiFault({ what, status: 0, why: cause.why, retryAfterMs: undefined })
  }
  const { code, message } = cause as NodeJS.ErrnoException
  const told = typeof code === "string" ? causeByCode[code] : undefined
  const why = told === undefined ? message : `${told} (${code})`
  return new ApiFault({ what, status: 0, why: `${server}: ${why}`, retryAfterMs: undefined })
}
