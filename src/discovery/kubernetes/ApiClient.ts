import { Effect } from "effect"
import { ApiFault, faultOfCause, faultOfStatus } from "./ApiFault.ts"
import type { ClusterAccess, ReadAccess } from "./ClusterAccess.ts"
import { type Fields, fieldsOf, textOf } from "./fields.ts"
import { LineSplitter } from "./LineSplitter.ts"

export interface ApiClientOptions {
  /** For a whole answer, or for the head of a watch. */
  readonly requestTimeoutMs: number
  /** Largest answer to a question, such as one page of a list. */
  readonly answerBytesMax: number
  /** Largest object in a watch; a larger one is skipped. */
  readonly objectBytesMax: number
  /** The credentials are read anew after this long, and when the server does not accept them. */
  readonly credentialsMaxAgeMs: number
}

/** What is asked: the path, the query, and the words for it. */
export interface Question {
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  /** Follows "can't", such as `list pods in default`. */
  readonly what: string
}

export interface WatchHandler {
  /** One line of the watch, an object of JSON. */
  readonly onLine: (line: string) => void
  /** A line was too long and is skipped. */
  readonly onTooLong: () => void
}

/** Errors are read up to here. */
const ERROR_BYTES_MAX = 64 * 1024

/**
 * GET and watch of one API server over Bun's fetch, which keeps CA and client certificate apart from other
 * connections and streams a watch as it comes.
 */
export class ApiClient {
  private readonly readAccess: ReadAccess
  private readonly options: ApiClientOptions
  private readonly nowMs: () => number
  private access: ClusterAccess | undefined
  private readAtMs = 0

  constructor(readAccess: ReadAccess, options: ApiClientOptions, nowMs: () => number) {
    this.readAccess = readAccess
    this.options = options
    this.nowMs = nowMs
  }

  /** The namespace of the credentials. */
  readonly namespace: Effect.Effect<string, ApiFault> = Effect.suspend(() =>
    Effect.tryPromise({
      try: async () => (await this.credentials()).namespace,
      catch: (cause) => this.fault("read the credentials", cause)
    })
  )

  /** The answer as an object of JSON. */
  get(question: Question): Effect.Effect<Fields, ApiFault> {
    return Effect.tryPromise({
      try: (signal) => this.read(question, signal),
      catch: (cause) => this.fault(question.what, cause)
    })
  }

  /** Hands over line by line and ends when the server ends the watch or after `timeoutMs`. */
  watch(question: Question, timeoutMs: number, handler: WatchHandler): Effect.Effect<void, ApiFault> {
    return Effect.tryPromise({
      try: (signal) => this.follow(question, timeoutMs, handler, signal),
      catch: (cause) => this.fault(question.what, cause)
    })
  }

  private fault(what: string, cause: unknown): ApiFault {
    return faultOfCause(what, this.access?.server ?? "the cluster", cause)
  }

  private async read(question: Question, signal: AbortSignal): Promise<Fields> {
    const { answerBytesMax, requestTimeoutMs } = this.options
    const deadline = AbortSignal.timeout(requestTimeoutMs)
    try {
      const response = await this.ask(question, AbortSignal.any([signal, deadline]))
      const text = await textUpTo(response, answerBytesMax)
      if (text === undefined) throw new Error(`its answer is longer than ${answerBytesMax} bytes`)
      const object = fieldsOf(JSON.parse(text))
      if (object === undefined) throw new Error("its answer is not an object")
      return object
    } catch (cause) {
      if (deadline.aborted) throw new Error(`no whole answer within ${requestTimeoutMs} ms`, { cause })
      throw cause
    }
  }

  private async follow(
    question: Question,
    timeoutMs: number,
    handler: WatchHandler,
    signal: AbortSignal
  ): Promise<void> {
    const { objectBytesMax, requestTimeoutMs } = this.options
    const head = new AbortController()
    const headTimer = setTimeout(() => head.abort(), requestTimeoutMs)
    const deadline = AbortSignal.timeout(timeoutMs)
    try {
      const response = await this.ask(question, AbortSignal.any([signal, head.signal, deadline]))
      clearTimeout(headTimer)
      const splitter = new LineSplitter(objectBytesMax, handler.onLine, handler.onTooLong)
      for await (const chunk of chunksOf(response)) splitter.push(chunk)
    } catch (cause) {
      // A server that forgets to end the watch is no fault, the next one takes its place.
      if (deadline.aborted) return
      if (head.signal.aborted) throw new Error(`no answer within ${requestTimeoutMs} ms`, { cause })
      throw cause
    } finally {
      clearTimeout(headTimer)
    }
  }

  /** The answer's head when its status is good. */
  private async ask({ path, query, what }: Question, signal: AbortSignal): Promise<Response> {
    const { server, tls, token } = await this.credentials()
    const response = await fetch(`${server}${path}?${new URLSearchParams(query)}`, {
      headers: {
        accept: "application/json",
        "user-agent": "warmroute",
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` })
      },
      tls: {
        rejectUnauthorized: !tls.insecure,
        ...(tls.ca === undefined ? {} : { ca: tls.ca }),
        ...(tls.cert === undefined ? {} : { cert: tls.cert }),
        ...(tls.key === undefined ? {} : { key: tls.key }),
        ...(tls.serverName === undefined ? {} : { serverName: tls.serverName })
      },
      signal,
      // A redirect would carry the token to wherever it points.
      redirect: "manual",
      timeout: false
    })
    if (response.status === 200) return response
    if (response.status === 401) this.access = undefined
    const said = messageOf(await textUpTo(response, ERROR_BYTES_MAX).catch(() => undefined))
    throw faultOfStatus(what, response.status, said, retryAfterMs(response))
  }

  private async credentials(): Promise<ClusterAccess> {
    const { access, options: { credentialsMaxAgeMs } } = this
    if (access !== undefined && this.nowMs() - this.readAtMs < credentialsMaxAgeMs) return access
    this.access = await this.readAccess()
    this.readAtMs = this.nowMs()
    return this.access
  }
}

/** The body as it comes; leaving the loop closes the connection. */
async function* chunksOf({ body }: Response): AsyncGenerator<Uint8Array> {
  const reader = body?.getReader()
  if (reader === undefined) return
  try {
    while (true) {
      const { done, value } = await reader.read()
      if (done) return
      yield value
    }
  } finally {
    // A body that failed refuses to be cancelled with the same error.
    await reader.cancel().catch(() => undefined)
  }
}

/** The body, or undefined when it is longer; what is left of it is dropped then. */
const textUpTo = async (response: Response, bytesMax: number): Promise<string | undefined> => {
  const parts: Array<Uint8Array> = []
  let bytes = 0
  for await (const chunk of chunksOf(response)) {
    bytes += chunk.length
    if (bytes > bytesMax) return undefined
    parts.push(chunk)
  }
  return Buffer.concat(parts).toString("utf8")
}

/** Longest message of the server that a log line quotes. */
const SAID_MAX = 500

/** What a `Status` object says, else the text itself. */
const messageOf = (text: string | undefined): string | undefined => {
  if (text === undefined) return undefined
  let said: string | undefined = text.trim()
  try {
    said = textOf(fieldsOf(JSON.parse(text))?.["message"]) ?? said
  } catch {
    // A proxy's page is quoted as it is.
  }
  return said === "" ? undefined : said.slice(0, SAID_MAX)
}

const retryAfterMs = (response: Response): number | undefined => {
  const seconds = Number(response.headers.get("retry-after") ?? Number.NaN)
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined
}
