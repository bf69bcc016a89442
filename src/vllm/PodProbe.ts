import { Data, Either, ParseResult, Schema } from "effect"
import { networkWords } from "../core/networkWords.ts"
import { type PodAddress, podUrl } from "../core/Pod.ts"
import type { PodAccess, PodTls } from "../core/PodAccess.ts"
import { type MetricsTextLimits, metricsTextLimits, type PodMetrics, readPodMetrics } from "./MetricsText.ts"
import { ProbeGate, type ProbeGateOptions } from "./ProbeGate.ts"

/** A pod did not say what it was asked. `what` is the path, `why` a sentence for people. */
export class PodProbeError extends Data.TaggedError("PodProbeError")<{
  readonly what: string
  readonly why: string
  /** Nobody listens there, so any other question would end alike. */
  readonly isRefused?: boolean
  /** It took the question and said nothing in time, as one does that is only too busy. */
  readonly isLate?: boolean
}> {
  override get message(): string {
    return `${this.what}: ${this.why}`
  }
}

/** Asks a pod about itself. Every method rejects with PodProbeError and with nothing else. */
export interface PodProbe {
  readonly metrics: (address: PodAddress, timeoutMs: number) => Promise<PodMetrics>
  /** The entries of `GET /v1/models` with all their fields. */
  readonly models: (
    address: PodAddress,
    timeoutMs: number
  ) => Promise<ReadonlyArray<{ readonly id: string } & Readonly<Record<string, unknown>>>>
  /** True for 200, false for any other answer; a pod that can't be reached rejects. */
  readonly health: (address: PodAddress, timeoutMs: number) => Promise<boolean>
  /** undefined when the pod has no such route. */
  readonly version: (address: PodAddress, timeoutMs: number) => Promise<string | undefined>
}

export interface PodProbeOptions extends ProbeGateOptions {
  /** Of a metrics page. */
  readonly pageBytesMax: number
  /** Of every other answer. */
  readonly answerBytesMax: number
  readonly modelsMax: number
  /** Levels of nesting in a JSON answer, since whoever prints a model card recurses into it. */
  readonly jsonDepthMax: number
  readonly metricsText: MetricsTextLimits
  /** Tokens and TLS. Default: no token, the system's CAs, verified. */
  readonly access?: PodAccess | undefined
}

const podProbeDefaults: PodProbeOptions = {
  pageBytesMax: 4 * 1024 * 1024,
  answerBytesMax: 1024 * 1024,
  modelsMax: 1000,
  jsonDepthMax: 32,
  metricsText: metricsTextLimits,
  probesMax: 160,
  suspectProbesMax: 64,
  waitingMax: 10_000,
  suspectsMax: 10_000
}

const ModelId = Schema.NonEmptyString.pipe(Schema.maxLength(512))

/** A probe whose bounds may change. */
export interface ResizablePodProbe extends PodProbe {
  /** For questions asked from now on. */
  readonly replaceLimits: (limits: Pick<PodProbeOptions, "modelsMax" | "pageBytesMax">) => void
}

/** The answer of `GET /v1/models`; a card keeps the fields that we don't know. */
const ModelList = Schema.Struct({
  data: Schema.Array(Schema.Struct({ id: ModelId }, { key: Schema.String, value: Schema.Unknown }))
})

const VersionAnswer = Schema.Struct({ version: Schema.String.pipe(Schema.maxLength(128)) })

interface Answer {
  readonly status: number
  readonly body: Uint8Array
}

/** Ends a body that nobody reads on; what its cancelling says can't matter any more. */
const drop = (body: ReadableStream<Uint8Array> | ReadableStreamDefaultReader<Uint8Array> | null): void => {
  body?.cancel().catch(() => {})
}

const readBody = async (what: string, response: Response, bytesMax: number): Promise<Uint8Array> => {
  const tooLong = (): PodProbeError => new PodProbeError({ what, why: `the answer is longer than ${bytesMax} bytes` })
  if (Number(response.headers.get("content-length") ?? 0) > bytesMax) {
    drop(response.body)
    throw tooLong()
  }
  if (response.body === null) return new Uint8Array(0)
  const reader = response.body.getReader()
  const pieces: Array<Uint8Array> = []
  let length = 0
  for (;;) {
    const piece = await reader.read()
    if (piece.done) break
    length += piece.value.byteLength
    if (length > bytesMax) {
      drop(reader)
      throw tooLong()
    }
    pieces.push(piece.value)
  }
  return pieces.length === 1 && pieces[0] !== undefined ? pieces[0] : Buffer.concat(pieces, length)
}

/** What one question shows the pod. */
interface Shown {
  readonly token: string | undefined
  readonly tls: PodTls | undefined
}

const request = async (
  url: string,
  what: string,
  bytesMax: number,
  { tls, token }: Shown,
  signal: AbortSignal
): Promise<Answer> => {
  // A packed page could unfold to any size, so packing is neither asked for nor undone.
  const response = await fetch(url, {
    redirect: "manual",
    decompress: false,
    headers: {
      "accept-encoding": "identity",
      "user-agent": "warmroute",
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` })
    },
    ...(tls === undefined ? {} : { tls }),
    // A proxy named by the environment is for the way out; a request reaches its pod without one, and so must a probe.
    proxy: false,
    signal
  })
  if (response.status >= 300 && response.status < 400) {
    drop(response.body)
    throw new PodProbeError({ what, why: `answered ${response.status}; a pod must not send us elsewhere` })
  }
  return { status: response.status, body: await readBody(what, response, bytesMax) }
}

const notReached = (what: string, cause: unknown): PodProbeError =>
  cause instanceof PodProbeError ? cause : new PodProbeError({
    what,
    why: `could not be asked: ${networkWords(cause)}`,
    isRefused: cause instanceof Error && "code" in cause && cause.code === "ECONNREFUSED"
  })

/** Head and body within the time; the clock starts when the request may leave. */
const requestInTime = (
  url: string,
  what: string,
  bytesMax: number,
  shown: Shown,
  timeoutMs: number
): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const controller = new AbortController()
    const finish = (): void => {
      clearTimeout(timer)
      // Closes the connection of an answer that was cut off; after a whole answer it does nothing.
      controller.abort()
    }
    const timer = setTimeout(() => {
      reject(new PodProbeError({ what, why: `no whole answer within ${timeoutMs} ms`, isLate: true }))
      finish()
    }, timeoutMs)
    request(url, what, bytesMax, shown, controller.signal).then(
      (answer) => {
        clearTimeout(timer)
        resolve(answer)
      },
      (cause: unknown) => {
        reject(notReached(what, cause))
        finish()
      }
    )
  })

const deeperThan = (levels: number, value: unknown): boolean =>
  typeof value === "object" && value !== null &&
  (levels === 0 || Object.values(value).some((inner) => deeperThan(levels - 1, inner)))

const decodeJson = <A, I>(what: string, schema: Schema.Schema<A, I>, body: Uint8Array, depthMax: number): A => {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder().decode(body))
  } catch {
    throw new PodProbeError({ what, why: "the answer is not JSON" })
  }
  if (deeperThan(depthMax, value)) {
    throw new PodProbeError({ what, why: `the answer nests deeper than ${depthMax} levels` })
  }
  const decoded = Schema.decodeUnknownEither(schema)(value)
  if (Either.isRight(decoded)) return decoded.right
  const issue = ParseResult.ArrayFormatter.formatErrorSync(decoded.left)[0]
  throw new PodProbeError({ what, why: `the answer's ${issue?.path.join(".") || "shape"} is wrong: ${issue?.message}` })
}

const expectOk = (what: string, answer: Answer): void => {
  if (answer.status !== 200) throw new PodProbeError({ what, why: `answered ${answer.status}` })
}

/**
 * A probe over fetch. Redirects are refused, bodies cut off at their limit, head and body share the time limit.
 * A thousand pods don't starve each other at Bun's limit of 256 fetches: see ProbeGate.
 */
export const makePodProbe = (overrides: Partial<PodProbeOptions> = {}): ResizablePodProbe => {
  let options = { ...podProbeDefaults, ...overrides }
  const gate = new ProbeGate(options)

  const get = async (address: PodAddress, what: string, bytesMax: number, timeoutMs: number): Promise<Answer> => {
    const leave = await gate.enter(address.id)
    if (leave === undefined) {
      throw new PodProbeError({ what, why: `not asked: ${options.waitingMax} probes wait already` })
    }
    let answered = false
    try {
      const { access } = options
      const shown = { token: access?.tokenFor(address.id), tls: address.tls ? access?.tls() : undefined }
      const answer = await requestInTime(`${podUrl(address)}${what}`, what, bytesMax, shown, timeoutMs)
      answered = true
      return answer
    } finally {
      leave(answered)
    }
  }

  return {
    replaceLimits: ({ modelsMax, pageBytesMax }) => {
      options = { ...options, modelsMax, pageBytesMax }
    },
    metrics: async (address, timeoutMs) => {
      const answer = await get(address, "/metrics", options.pageBytesMax, timeoutMs)
      expectOk("/metrics", answer)
      const metrics = readPodMetrics(answer.body, options.metricsText)
      if ("why" in metrics) throw new PodProbeError({ what: "/metrics", why: metrics.why })
      return metrics
    },
    models: async (address, timeoutMs) => {
      const answer = await get(address, "/v1/models", options.answerBytesMax, timeoutMs)
      expectOk("/v1/models", answer)
      const { data } = decodeJson("/v1/models", ModelList, answer.body, options.jsonDepthMax)
      if (data.length > options.modelsMax) {
        const why = `lists ${data.length} models, more than the ${options.modelsMax} we take`
        throw new PodProbeError({ what: "/v1/models", why })
      }
      return data
    },
    health: async (address, timeoutMs) =>
      (await get(address, "/health", options.answerBytesMax, timeoutMs)).status === 200,
    version: async (address, timeoutMs) => {
      const answer = await get(address, "/version", options.answerBytesMax, timeoutMs)
      if (answer.status === 404) return undefined
      expectOk("/version", answer)
      return decodeJson("/version", VersionAnswer, answer.body, options.jsonDepthMax).version
    }
  }
}
