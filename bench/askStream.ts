/** How a streamed completion ended, as its client saw it; milliseconds of `performance.now()`. */
export interface StreamedAnswer {
  /** refused: 429. gave-up: no first token in time, so the client left. */
  readonly outcome: "answered" | "refused" | "gave-up" | "failed"
  readonly sentMs: number
  /** 0: none came. */
  readonly firstTokenMs: number
  readonly endMs: number
  readonly promptTokens: number
  readonly cachedTokens: number
  readonly outputTokens: number
  readonly hasRetryAfter: boolean
  /** Why it was not answered. */
  readonly why: string
}

interface Ask {
  readonly port: number
  readonly body: Uint8Array
  /** Lines of further headers. */
  readonly headerLines?: string
  /** The client leaves when it has no token by then. */
  readonly firstTokenWithinMs: number
  /** A stream that has begun may take this long. */
  readonly streamWithinMs: number
  /** Nobody wants the answer any more once it is aborted: the client leaves. */
  readonly signal?: AbortSignal
}

const HEAD_CHARS = 2048
const TAIL_CHARS = 4096

/**
 * Sends one completion on a connection of its own and reads its stream to the end, to `[DONE]`: a client that costs next
 * to nothing, since it shares the machine with what it measures. Never rejects.
 */
export const askStream = (
  { body, firstTokenWithinMs, headerLines = "", port, signal, streamWithinMs }: Ask
): Promise<StreamedAnswer> => {
  const { promise, resolve } = Promise.withResolvers<StreamedAnswer>()
  const sentMs = performance.now()
  const request = `POST /v1/completions HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\ncontent-type: application/json\r\n` +
    `${headerLines}content-length: ${body.byteLength}\r\nconnection: close\r\n\r\n`
  let unsent = Buffer.concat([Buffer.from(request), body])
  let head = ""
  let tail = ""
  let firstTokenMs = 0
  let connection: Bun.Socket | undefined
  const end = (outcome: StreamedAnswer["outcome"], what: string): void => {
    clearTimeout(timer)
    signal?.removeEventListener("abort", leave)
    resolve({
      outcome,
      sentMs,
      firstTokenMs,
      endMs: performance.now(),
      promptTokens: countIn(tail, "prompt_tokens"),
      cachedTokens: countIn(tail, "cached_tokens"),
      outputTokens: countIn(tail, "completion_tokens"),
      hasRetryAfter: /\r\nretry-after: \d+\r\n/i.test(head),
      why: `${head.split("\r\n", 1)[0]}: ${what}`
    })
    // Its close handler runs at once and finds the answer given.
    connection?.terminate()
  }
  const leave = (): void => end("gave-up", "no longer wanted")
  signal?.addEventListener("abort", leave)
  let timer = setTimeout(() => end("gave-up", "no token in time"), Math.max(1, firstTokenWithinMs))
  const write = (socket: Bun.Socket): void => {
    connection = socket
    if (signal?.aborted === true) return void socket.terminate()
    const written = socket.write(unsent)
    if (written > 0) unsent = unsent.subarray(written)
  }
  const take = (bytes: Buffer): void => {
    const text = bytes.toString("latin1")
    if (head.length < HEAD_CHARS) head += text
    tail = (tail + text).slice(-TAIL_CHARS)
    if (firstTokenMs === 0 && text.includes("data: {")) {
      firstTokenMs = performance.now()
      clearTimeout(timer)
      timer = setTimeout(() => end("failed", "the stream did not end in time"), streamWithinMs)
    }
    if (tail.includes("data: [DONE]")) end(firstTokenMs > 0 ? "answered" : "failed", "done without a token")
  }
  Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      open: write,
      drain: write,
      data: (_, bytes) => take(bytes),
      close: () => end(head.startsWith("HTTP/1.1 429") ? "refused" : "failed", "closed inside the answer"),
      error: (_, error) => end("failed", error.message)
    }
  }).catch((cause: unknown) => end("failed", String(cause)))
  return promise
}

const countIn = (text: string, name: string): number => {
  const at = text.lastIndexOf(`"${name}":`)
  return at < 0 ? 0 : Number.parseInt(text.slice(at + name.length + 3), 10)
}
