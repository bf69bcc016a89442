import { Schema } from "effect"
import type { PickContext } from "../core/Policy.ts"
import { isNamed, nameInToken } from "../core/sessionToken.ts"
import { readySources, sessionOf, SessionSource } from "./SessionSource.ts"

/** How requests of a session are known again, by the filter and the scorer alike. */
export const SessionConfig = Schema.Struct({
  /** encoded_endpoint_header: the client brings back the pod's token. session_id: the gateway remembers the pod. */
  strategy: Schema.optionalWith(Schema.Literal("encoded_endpoint_header", "session_id"), {
    default: () => "encoded_endpoint_header"
  }),
  /** Header of the token. */
  header: Schema.optionalWith(Schema.NonEmptyString, { default: () => "x-session-token" }),
  /** Where a session's name is looked for, the first that is there. */
  sources: Schema.optionalWith(Schema.Array(SessionSource).pipe(Schema.minItems(1)), {
    default: () => [{ header: "x-session-id" }]
  }),
  /** A session without a request for so long is forgotten. */
  evictionTtlSeconds: Schema.optionalWith(Schema.Positive, { default: () => 300 }),
  /** Sessions remembered; beyond, the one without a request for longest is forgotten. */
  sessionsMax: Schema.optionalWith(Schema.Int.pipe(Schema.positive()), { default: () => 65_536 })
})
export type SessionConfig = typeof SessionConfig.Type

interface Binding {
  readonly pod: string
  readonly seenS: number
}

/** The pod that each session belongs to. Source: llm-d's session-affinity-filter and -scorer. */
export class SessionPods {
  private readonly config: SessionConfig
  /** Least recently seen first. */
  private readonly bindings = new Map<string, Binding>()

  constructor(config: SessionConfig) {
    this.config = {
      ...config,
      header: config.header.trim().toLowerCase(),
      sources: readySources(config.sources)
    }
  }

  /** The candidate's row that the request's session belongs to; -1: none, or it is no candidate now. */
  rowOf(context: PickContext): number {
    const pod = this.podOf(context)
    return pod === "" ? -1 : rowNamed(context, pod)
  }

  /** Binds a session to the pod of its first request, and anew only when its pod was no candidate. */
  placed(context: PickContext, row: number): void {
    if (this.config.strategy !== "session_id") return
    const session = sessionOf(context.request.headers, this.config.sources)
    const address = context.table.addresses[row]
    if (session === "" || address === undefined) return
    const bound = this.boundPod(session, context.nowS)
    const pod = nameInToken(address)
    if (bound !== "" && bound !== pod && rowNamed(context, bound) >= 0) return
    this.bindings.delete(session)
    this.bindings.set(session, { pod, seenS: context.nowS })
    const oldest = this.bindings.keys().next().value
    if (this.bindings.size > this.config.sessionsMax && oldest !== undefined) this.bindings.delete(oldest)
  }

  private podOf({ nowS, request }: PickContext): string {
    const { header, sources, strategy } = this.config
    if (strategy === "session_id") return this.boundPod(sessionOf(request.headers, sources), nowS)
    return request.podOfToken?.(header) ?? ""
  }

  private boundPod(session: string, nowS: number): string {
    const binding = session === "" ? undefined : this.bindings.get(session)
    if (binding === undefined) return ""
    return nowS - binding.seenS > this.config.evictionTtlSeconds ? "" : binding.pod
  }
}

const rowNamed = ({ candidateCount, candidates, table }: PickContext, pod: string): number => {
  for (let i = 0; i < candidateCount; i++) {
    const row = candidates[i] ?? 0
    const address = table.addresses[row]
    if (address !== undefined && isNamed(address, pod)) return row
  }
  return -1
}
