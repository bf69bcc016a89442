import type { PodAccess } from "../../core/PodAccess.ts"

/** Limits of the HTTP/1.1 client towards pods; all apply to each pod on its own. */
export interface UpstreamOptions {
  /** Sockets to one pod, busy and idle. */
  readonly connectionsMax: number
  /** Sockets kept open for reuse. */
  readonly idleMax: number
  /** Age at which an idle socket is dropped; below vLLM's keep-alive of 5 s, or we write into a closing socket. */
  readonly idleMaxMs: number
  /** A kept socket that closes without an answer this soon after the request was written had been given up before it came. */
  readonly staleSocketMs: number
  readonly connectTimeoutMs: number
  /**
   * From the request's last byte being handed over to the first byte of the answer's body; a queue at the pod counts.
   * vLLM sends the head of a stream before its engine has seen the request.
   */
  readonly firstByteTimeoutMs: number
  /** Longest silence inside an answer; time in which the client itself holds us up does not count. */
  readonly silenceTimeoutMs: number
  /**
   * An unhealthy pod is lost to the requests it has, the newest too, when for so long it has sent no byte on any socket
   * and was not found well.
   */
  readonly lostPodGraceMs: number
  /** The same while no other pod could take them: one that comes back in this time still has its work. */
  readonly lonePodGraceMs: number
  /** Status line and headers, and apart from them the trailers. */
  readonly headBytesMax: number
  readonly headersMax: number
  /** How often deadlines are looked at: the error of every timeout here. */
  readonly sweepMs: number
  /** Tokens and TLS. Default: no token, the system's CAs, verified. */
  readonly access?: PodAccess | undefined
}

export const upstreamDefaults: UpstreamOptions = {
  connectionsMax: 4_096,
  idleMax: 256,
  idleMaxMs: 4_000,
  staleSocketMs: 500,
  connectTimeoutMs: 3_000,
  firstByteTimeoutMs: 600_000,
  silenceTimeoutMs: 300_000,
  lostPodGraceMs: 5_000,
  lonePodGraceMs: 15_000,
  headBytesMax: 64 * 1024,
  headersMax: 128,
  sweepMs: 100
}
