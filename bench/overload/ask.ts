/** How one request ended, as its client saw it; milliseconds of `performance.now()`. */
export interface Asked {
  /** refused: 429. gave-up: no first token in time, so the client left. */
  readonly outcome: "answered" | "refused" | "gave-up" | "failed"
  readonly status: number
  readonly dueMs: number
  readonly firstTokenMs: number
  readonly endMs: number
  readonly outputTokens: number
  readonly hasRetryAfter: boolean
}

interface Ask {
  readonly port: number
  readonly body: Uint8Array
  /** Lines of further headers. */
  readonly headerLines: string
  readonly dueMs: number
  /** The client leaves when it has no token by then. */
  readonly firstTokenWithinMs: number
}

const TAIL_CHARS = 2048
/** A stream that has begun may take this long. */
const STREAM_WITHIN_MS = 120_000

/** Sends one completion on a connection of its own and reads its stream to the end. Never rejects. */
export const ask = ({ body, dueMs, firstTokenWithinMs, headerLines, port }: Ask): Promise<Asked> => {
  const { promise, resolve } = Promise.withResolvers<Asked>()
  const head = `POST /v1/completions HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\ncontent-type: application/json\r\n` +
    `${headerLines}content-length: ${body.byteLength}\r\nconnection: close\r\n\r\n`
  let unsent = Buffer.concat([Buffer.from(head), body])
  let start = ""
  let tail = ""
  let firstTokenMs = 0
  let connection: Bun.Socket | undefined
  const end = (outcome: Asked["outcome"]): void => {
    clearTimeout(timer)
    resolve({
      outcome,
      status: Number(start.slice(9, 12)),
      dueMs,
      firstTokenMs,
      endMs: performance.now(),
      outputTokens: countIn(tail, "completion_tokens"),
      hasRetryAfter: /\r\nretry-after: \d+\r\n/i.test(start)
    })
    // Its close handler runs at once and finds the answer given.
    connection?.terminate()
  }
  let timer = setTimeout(() => end("gave-up"), Math.max(1, dueMs + firstTokenWithinMs - performance.now()))
  const write = (socket: Bun.Socket): void => {
    connection = socket
    const written = socket.write(unsent)
    if (written > 0) unsent = unsent.subarray(written)
  }
  const take = (bytes: Buffer): void => {
    if (start.length < TAIL_CHARS) start += bytes.toString("latin1")
    tail = (tail + bytes.toString("latin1")).slice(-TAIL_CHARS)
    if (firstTokenMs === 0 && bytes.includes("data: {")) {
      firstTokenMs = performance.now()
      clearTimeout(timer)
      timer = setTimeout(() => end("failed"), STREAM_WITHIN_MS)
    }
    if (tail.includes("data: [DONE]")) end("answered")
  }
  Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      open: write,
      drain: write,
      data: (_, bytes) => take(bytes),
      close: () => end(start.startsWith("HTTP/1.1 429") ? "refused" : "failed"),
      error: () => end("failed")
    }
  }).catch(() => end("failed"))
  return promise
}

const countIn = (text: string, name: string): number => {
  const at = text.lastIndexOf(`"${name}":`)
  return at < 0 ? 0 : Number.parseInt(text.slice(at + name.length + 3), 10)
}
