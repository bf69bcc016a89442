import { checkJson, StreamCheck, type Verdict } from "./answerCheck.ts"
import { HttpAnswer } from "./HttpAnswer.ts"
import { benchMs } from "./lateness.ts"
import { type KnownQuestion, requestBytes } from "./requests.ts"
import type { RequestRecord } from "./tally.ts"

/** An answer that is not whole by then hangs. */
const HANG_LIMIT_MS = 30_000
/** Younger than any gateway's keep-alive, so that no request meets a connection that is being closed. */
const IDLE_MAX_MS = 1500

/** Judged by the verdict: an answer that was wrong before its connection broke is wrong. */
const isCut = ({ reason }: Verdict): boolean => /^(connect failed|write failed|connection closed)/.test(reason)

interface Connection {
  socket: Bun.Socket<Connection> | undefined
  answer: HttpAnswer | undefined
  /** Called when the answer may have changed. */
  changed: () => void
  idleSinceMs: number
}

/** Sends requests over keep-alive connections as they come and judges every answer. */
export class ChaosClient {
  readonly #port: number
  readonly #idle: Array<Connection> = []

  constructor(port: number) {
    this.#port = port
  }

  /** Never fails: what went wrong is in the record. `leaveAfterMs`: the client goes away then, whatever it has. */
  async ask({ asked, expected }: KnownQuestion, user: string, leaveAfterMs?: number): Promise<RequestRecord> {
    const sentMs = performance.now()
    const pieces: Array<Buffer> = []
    const check = asked.isStream ? new StreamCheck() : undefined
    let lastMs = 0
    let stallMs = 0
    const eventMs: Array<number> = []
    const answer = new HttpAnswer((piece) => {
      if (check === undefined || answer.status !== 200) return void pieces.push(Buffer.from(piece))
      const before = check.tokenEvents
      check.push(piece)
      for (const nowMs = benchMs(); eventMs.length < check.events;) eventMs.push(nowMs)
      if (check.tokenEvents === before) return
      const now = performance.now()
      if (lastMs > 0) stallMs = Math.max(stallMs, now - lastMs)
      lastMs = now
    })
    const bytes = requestBytes(asked, user, `127.0.0.1:${this.#port}`)
    const fault = await this.#exchange(bytes, answer, leaveAfterMs ?? HANG_LIMIT_MS)
    const answered = { status: answer.status, fault, contentType: answer.headers.get("content-type") ?? "" }
    const verdict: Verdict = check === undefined || (answer.status !== 200 && fault === undefined)
      ? checkJson(answered, Buffer.concat(pieces).toString(), expected)
      : check.verdict(answered, expected)
    return {
      ...verdict,
      user,
      isStream: asked.isStream,
      sentMs,
      endMs: performance.now(),
      stallMs,
      eventMs,
      wasCut: isCut(verdict)
    }
  }

  close(): void {
    for (const { socket } of this.#idle.splice(0)) socket?.terminate()
  }

  /** What is wrong with the answer on the wire. */
  async #exchange(bytes: Buffer, answer: HttpAnswer, limitMs: number): Promise<string | undefined> {
    const connection = this.#takeIdle() ?? await this.#connect()
    if (connection?.socket === undefined) return "connect failed"
    connection.answer = answer
    const whole = new Promise<void>((resolve) => {
      connection.changed = () => {
        if (answer.done || answer.fault !== undefined) resolve()
      }
    })
    let timer: Timer | undefined
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(true), limitMs)
    })
    // Loopback takes a request of two kilobytes whole.
    if (connection.socket.write(bytes) < bytes.length) return "write failed"
    const isLate = await Promise.race([whole.then(() => false), late])
    clearTimeout(timer)
    connection.answer = undefined
    if (answer.reusable && connection.socket !== undefined) {
      connection.idleSinceMs = performance.now()
      this.#idle.push(connection)
    } else connection.socket?.terminate()
    return isLate ? `nothing whole in ${limitMs / 1000} s` : answer.fault
  }

  #takeIdle(): Connection | undefined {
    for (;;) {
      const connection = this.#idle.pop()
      if (connection === undefined) return undefined
      if (connection.socket === undefined) continue
      if (performance.now() - connection.idleSinceMs < IDLE_MAX_MS) return connection
      connection.socket.end()
    }
  }

  async #connect(): Promise<Connection | undefined> {
    const connection: Connection = { socket: undefined, answer: undefined, changed: () => {}, idleSinceMs: 0 }
    const closed = (): void => {
      connection.socket = undefined
      connection.answer?.close()
      connection.changed()
    }
    try {
      connection.socket = await Bun.connect<Connection>({
        hostname: "127.0.0.1",
        port: this.#port,
        data: connection,
        socket: {
          data: (socket, data) => {
            // An answer that nobody asked for spoils the connection.
            if (connection.answer === undefined) return void socket.terminate()
            connection.answer.push(Buffer.from(data))
            connection.changed()
          },
          end: (socket) => void socket.end(),
          close: closed,
          error: closed
        }
      })
      return connection
    } catch {
      return undefined
    }
  }
}
