import { AnswerEnd } from "./AnswerEnd.ts"
import { type Answered, checkJson, type Expected, StreamCheck, type Verdict } from "./answerCheck.ts"
import { HttpAnswer } from "./HttpAnswer.ts"
import { benchMs } from "./lateness.ts"
import { type KnownQuestion, requestBytes } from "./requests.ts"
import { ShortTurns } from "./ShortTurns.ts"
import type { RequestRecord } from "./tally.ts"

/** An answer that is not whole by then hangs. */
const HANG_LIMIT_MS = 30_000
/** Younger than any gateway's keep-alive, so that no request meets a connection that is being closed. */
const IDLE_MAX_MS = 1500

/** Judged by the verdict: an answer that was wrong before its connection broke is wrong. */
const isCut = ({ reason }: Verdict): boolean => /^(connect failed|write failed|connection closed)/.test(reason)

/** Bytes, and when they came. */
interface Piece {
  readonly bytes: Buffer
  readonly atMs: number
}

type Judged = Verdict & Pick<RequestRecord, "stallMs" | "eventMs">

/** What came of one request, unread. */
interface Exchanged {
  readonly arrived: ReadonlyArray<Piece>
  readonly end: "whole" | "closed" | "late" | "connect failed" | "write failed"
}

interface Exchange {
  readonly arrived: Array<Piece>
  readonly answerEnd: AnswerEnd
  readonly end: (how: "whole" | "closed") => void
}

interface Connection {
  socket: Bun.Socket<Connection> | undefined
  exchange: Exchange | undefined
  idleSinceMs: number
}

/**
 * Sends requests over keep-alive connections as they come. It judges every answer, but in turns, once it is whole: of a
 * thousand streams that go on at one moment none must wait for a client that reads their JSON.
 */
export class ChaosClient {
  readonly #port: number
  readonly #idle: Array<Connection> = []
  readonly #turns = new ShortTurns()

  constructor(port: number) {
    this.#port = port
  }

  /** Never fails: what went wrong is in the record. `leaveAfterMs`: the client goes away then, whatever it has. */
  async ask(question: KnownQuestion, user: string, leaveAfterMs = HANG_LIMIT_MS): Promise<RequestRecord> {
    const sentMs = performance.now()
    const bytes = requestBytes(question.asked, user, `127.0.0.1:${this.#port}`)
    const exchanged = await this.#exchange(bytes, leaveAfterMs)
    const endMs = performance.now()
    const judged = await this.#turns.take(() => judge(question, exchanged, leaveAfterMs))
    return { ...judged, user, isStream: question.asked.isStream, sentMs, endMs, wasCut: isCut(judged) }
  }

  close(): void {
    for (const { socket } of this.#idle.splice(0)) socket?.terminate()
  }

  async #exchange(bytes: Buffer, limitMs: number): Promise<Exchanged> {
    const arrived: Array<Piece> = []
    const connection = this.#takeIdle() ?? await this.#connect()
    if (connection?.socket === undefined) return { arrived, end: "connect failed" }
    const answerEnd = new AnswerEnd()
    const ended = new Promise<Exchanged["end"]>((resolve) => {
      connection.exchange = { arrived, answerEnd, end: resolve }
    })
    // Loopback takes a request of two kilobytes whole.
    if (connection.socket.write(bytes) < bytes.length) {
      connection.exchange = undefined
      connection.socket.terminate()
      return { arrived, end: "write failed" }
    }
    let timer: Timer | undefined
    const late = new Promise<"late">((resolve) => {
      timer = setTimeout(() => resolve("late"), limitMs)
    })
    const end = await Promise.race([ended, late])
    clearTimeout(timer)
    connection.exchange = undefined
    if (end === "whole" && answerEnd.keepsConnection && connection.socket !== undefined) {
      connection.idleSinceMs = performance.now()
      this.#idle.push(connection)
    } else connection.socket?.terminate()
    return { arrived, end }
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
    const connection: Connection = { socket: undefined, exchange: undefined, idleSinceMs: 0 }
    const closed = (): void => {
      connection.socket = undefined
      connection.exchange?.end("closed")
    }
    try {
      connection.socket = await Bun.connect<Connection>({
        hostname: "127.0.0.1",
        port: this.#port,
        data: connection,
        socket: {
          data: (socket, data) => {
            const { exchange } = connection
            // An answer that nobody asked for spoils the connection.
            if (exchange === undefined) return void socket.terminate()
            const bytes = Buffer.from(data)
            exchange.arrived.push({ bytes, atMs: benchMs() })
            exchange.answerEnd.push(bytes)
            if (exchange.answerEnd.reached) exchange.end("whole")
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

const judge = ({ asked, expected }: KnownQuestion, { arrived, end }: Exchanged, limitMs: number): Judged => {
  const pieces: Array<Piece> = []
  let atMs = 0
  const answer = new HttpAnswer((bytes) => void pieces.push({ bytes, atMs }))
  for (const piece of arrived) {
    atMs = piece.atMs
    answer.push(piece.bytes)
  }
  if (end === "closed") answer.close()
  const answered = {
    status: answer.status,
    fault: faultOf(answer, end, limitMs),
    contentType: answer.headers.get("content-type") ?? ""
  }
  return asked.isStream && (answer.status === 200 || answered.fault !== undefined)
    ? judgeStream(answered, pieces, expected)
    : judgeJson(answered, pieces, expected)
}

/** What is wrong with the answer on the wire. */
const faultOf = (answer: HttpAnswer, end: Exchanged["end"], limitMs: number): string | undefined => {
  if (end === "connect failed" || end === "write failed") return end
  if (end === "late") return `nothing whole in ${limitMs / 1000} s`
  return answer.fault ?? (answer.done ? undefined : "an end inside the answer")
}

const judgeStream = (answered: Answered, pieces: ReadonlyArray<Piece>, expected: Expected): Judged => {
  const check = new StreamCheck()
  const eventMs: Array<number> = []
  let lastMs = 0
  let stallMs = 0
  // An error's body is no stream.
  for (const { atMs, bytes } of answered.status === 200 ? pieces : []) {
    const before = check.tokenEvents
    check.push(bytes)
    while (eventMs.length < check.events) eventMs.push(atMs)
    if (check.tokenEvents === before) continue
    if (lastMs > 0) stallMs = Math.max(stallMs, atMs - lastMs)
    lastMs = atMs
  }
  return { ...check.verdict(answered, expected), stallMs, eventMs }
}

const judgeJson = (answered: Answered, pieces: ReadonlyArray<Piece>, expected: Expected): Judged => ({
  ...checkJson(answered, Buffer.concat(pieces.map(({ bytes }) => bytes)).toString(), expected),
  stallMs: 0,
  eventMs: []
})
