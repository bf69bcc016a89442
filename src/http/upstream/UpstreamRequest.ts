/** A body that is too large for memory. */
export interface PiecedBody {
  readonly byteLength: number
  /** Fills `into` from the bytes at `at` on, at most to its end; how many there are, 0 behind the last. May reject. */
  readonly read: (at: number, into: Uint8Array) => Promise<number>
}

export type RequestBody = Uint8Array | PiecedBody

/** One request towards a pod. The client adds `host` and, with a body, `content-length`. */
export interface UpstreamRequest {
  readonly method: string
  /** Path and query as they go on the request line. */
  readonly target: string
  /** Header lines, each ended by CRLF; neither host, content-length nor anything hop-by-hop. */
  readonly headerLines: string
  readonly body: RequestBody | undefined
  /** False: running it twice may do harm, so it goes over a socket of its own, where nothing is ever sent again unasked. */
  readonly isRepeatable: boolean
  /** Undefined: the client's own. */
  readonly firstByteTimeoutMs?: number | undefined
}

/** Status and headers of an answer as they came, in Latin-1: one char a byte. */
export interface ResponseHead {
  readonly status: number
  readonly reason: string
  /** name, value, name, value … in the pod's order and case. */
  readonly headers: ReadonlyArray<string>
  /** Body length in bytes when it is known beforehand, 0 for an answer without a body, else -1. */
  readonly bodyBytes: number
}

/**
 * Told about one exchange. `onEnd` or `onError` comes exactly once and last, nothing comes after `abort`.
 * All calls may come from within `UpstreamClient.request` or `UpstreamCall.resume`.
 */
export interface UpstreamHandler {
  readonly onHead: (head: ResponseHead) => void
  /** A piece of the body without its framing; the receiver may keep it. */
  readonly onData: (bytes: Uint8Array) => void
  readonly onEnd: () => void
  readonly onError: (error: UpstreamError) => void
}

/**
 * refused: no connection. connect-timeout: none in time. exhausted: our own limit of sockets to that pod.
 * broken: closed before any byte of an answer, and not because the socket was stale; the request may have run.
 * first-byte-timeout, silent: no answer, no further byte in time. truncated: closed inside the answer.
 * protocol: not HTTP/1.1, or beyond a limit. unsent: the request's own body could not be read. lost: the pod is unhealthy, and silent on all sockets.
 */
export type UpstreamErrorKind =
  | "refused"
  | "connect-timeout"
  | "exhausted"
  | "broken"
  | "first-byte-timeout"
  | "silent"
  | "truncated"
  | "protocol"
  | "lost"
  | "unsent"

export interface UpstreamError {
  readonly kind: UpstreamErrorKind
  /** In words, without the pod's name. */
  readonly message: string
  /** Some byte of the answer had come. */
  readonly answered: boolean
}
