/** A streamed answer as its client saw it; milliseconds of `performance.now()`. */
export interface StreamedAnswer {
  readonly sentMs: number
  readonly firstTokenMs: number
  readonly endMs: number
  readonly promptTokens: number
  readonly cachedTokens: number
  readonly outputTokens: number
}

const TAIL_CHARS = 4096

/**
 * Sends one completion on a connection of its own and reads the stream to its end: a client that costs next to
 * nothing, since it shares the machine with what it measures. Rejects when the answer is no whole stream.
 */
export const streamRequest = (port: number, body: Uint8Array, timeoutMs: number): Promise<StreamedAnswer> => {
  const { promise, reject, resolve } = Promise.withResolvers<StreamedAnswer>()
  const sentMs = performance.now()
  const head = `POST /v1/completions HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\ncontent-type: application/json\r\n` +
    `content-length: ${body.byteLength}\r\nconnection: close\r\n\r\n`
  const unsent: Array<Uint8Array> = [Buffer.concat([Buffer.from(head), body])]
  let firstTokenMs = 0
  let tail = ""
  const write = (socket: Bun.Socket): void => {
    for (let piece = unsent.shift(); piece !== undefined; piece = unsent.shift()) {
      const written = socket.write(piece)
      if (written < piece.byteLength) return void unsent.unshift(piece.subarray(Math.max(0, written)))
    }
  }
  const fail = (why: string): void => reject(new Error(`${why}: ${tail.slice(0, 200)}`))
  Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      open: write,
      drain: write,
      data: (socket, bytes) => {
        if (firstTokenMs === 0 && bytes.includes("data: {")) firstTokenMs = performance.now()
        tail = (tail + bytes.toString("latin1")).slice(-TAIL_CHARS)
        if (!tail.includes("data: [DONE]")) return
        const outputTokens = countIn(tail, "completion_tokens")
        if (firstTokenMs > 0 && outputTokens !== undefined) {
          resolve({
            sentMs,
            firstTokenMs,
            endMs: performance.now(),
            promptTokens: countIn(tail, "prompt_tokens") ?? 0,
            cachedTokens: countIn(tail, "cached_tokens") ?? 0,
            outputTokens
          })
        }
        socket.end()
      },
      close: () => fail("the connection closed inside the answer"),
      error: (_, error) => fail(error.message)
    }
  }).catch((cause: unknown) => fail(String(cause)))
  const timer = setTimeout(() => fail(`no end of the answer in ${timeoutMs / 1000} s`), timeoutMs)
  return promise.finally(() => clearTimeout(timer))
}

const countIn = (text: string, name: string): number | undefined => {
  const at = text.lastIndexOf(`"${name}":`)
  return at < 0 ? undefined : Number.parseInt(text.slice(at + name.length + 3), 10)
}
