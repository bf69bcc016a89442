import { benchMs } from "./lateness.ts"

/** How the front treats what passes through it. */
export type FrontMode = "pass" | "reset" | "slow" | "garbage" | "flap"

export interface FrontOptions {
  readonly port: number
  /** Where the pod itself listens, on loopback. */
  readonly podPort: number
  /** A generating request came in whose body names this user. */
  readonly onRequest: (user: string) => void
  /** The stream of this user is over; when each of its events was given to the socket. */
  readonly onAnswered: (user: string, writtenMs: ReadonlyArray<number>) => void
}

const SLOW_MS = 250
const FLAP_MS = 400
const generating = /^POST \/v1\/(chat\/)?completions /
const userKey = Buffer.from("\"user\":\"")
const quote = 0x22
/** Not the last event, which is `[DONE]`. */
const eventStart = Buffer.from("data: {")
const lastEvent = Buffer.from("data: [DONE]")

interface Side {
  readonly socket: () => Bun.Socket<Link> | undefined
  /** What the socket would not take yet. */
  readonly waiting: Array<Uint8Array>
  ended: boolean
}

interface Link {
  client: Bun.Socket<Link> | undefined
  pod: Bun.Socket<Link> | undefined
  readonly toClient: Side
  readonly toPod: Side
  isGenerating: boolean
  /** Of the request under way. */
  user: string
  readonly writtenMs: Array<number>
  /** Pieces for the client that the fault `slow` still holds; later ones may not overtake them. */
  heldPieces: number
}

const newLink = (): Link => {
  const link: Link = {
    client: undefined,
    pod: undefined,
    toClient: { socket: () => link.client, waiting: [], ended: false },
    toPod: { socket: () => link.pod, waiting: [], ended: false },
    isGenerating: false,
    user: "",
    writtenMs: [],
    heldPieces: 0
  }
  return link
}

const flush = (side: Side): void => {
  const socket = side.socket()
  if (socket === undefined) return
  while (side.waiting.length > 0) {
    const piece = side.waiting[0]!
    const written = Math.max(0, socket.write(piece))
    if (written < piece.length) {
      side.waiting[0] = piece.subarray(written)
      return
    }
    side.waiting.shift()
  }
  if (side.ended) socket.end()
}

const send = (side: Side, piece: Uint8Array): void => {
  side.waiting.push(piece)
  flush(side)
}

const end = (side: Side): void => {
  side.ended = true
  flush(side)
}

/** TCP in front of one pod, which can treat its connections as a broken machine or network would. */
export class FaultFront {
  readonly #options: FrontOptions
  readonly #links = new Set<Link>()
  #mode: FrontMode = "pass"
  #listener: Bun.TCPSocketListener<Link> | undefined
  #flapping: Timer | undefined

  constructor(options: FrontOptions) {
    this.#options = options
    this.#listen()
  }

  get port(): number {
    return this.#listener?.port ?? this.#options.port
  }

  stop(): void {
    this.#listener?.stop(true)
  }

  set mode(mode: FrontMode) {
    this.#mode = mode
    clearInterval(this.#flapping)
    this.#flapping = undefined
    if (mode === "reset") this.#resetAll()
    if (mode === "flap") this.#flapping = setInterval(() => this.#flip(), FLAP_MS)
    else if (this.#listener === undefined) this.#listen()
  }

  #flip(): void {
    if (this.#listener === undefined) return this.#listen()
    this.#listener.stop(false)
    this.#listener = undefined
    this.#resetAll()
  }

  #resetAll(): void {
    for (const { client } of this.#links) client?.terminate()
  }

  #listen(): void {
    this.#listener = Bun.listen<Link>({
      hostname: "127.0.0.1",
      port: this.#options.port,
      socket: {
        open: (socket) => {
          if (this.#mode === "reset") return void socket.terminate()
          const link = newLink()
          link.client = socket
          socket.data = link
          this.#links.add(link)
          void this.#connect(link)
        },
        data: (socket, data) => {
          if (socket.data === undefined) return
          this.#note(socket.data, data)
          send(socket.data.toPod, Buffer.from(data))
        },
        drain: (socket) => socket.data === undefined ? undefined : flush(socket.data.toClient),
        end: (socket) => socket.data === undefined ? undefined : end(socket.data.toPod),
        close: (socket) => {
          if (socket.data === undefined) return
          this.#links.delete(socket.data)
          socket.data.client = undefined
          socket.data.pod?.terminate()
        },
        error: () => {}
      }
    })
  }

  async #connect(link: Link): Promise<void> {
    await Bun.connect<Link>({
      hostname: "127.0.0.1",
      port: this.#options.podPort,
      data: link,
      socket: {
        open: (socket) => {
          link.pod = socket
          if (link.client === undefined) socket.terminate()
          else flush(link.toPod)
        },
        data: (_, data) => this.#answer(link, Buffer.from(data)),
        drain: () => flush(link.toPod),
        close: () => {
          link.pod = undefined
          this.#inTurn(link, () => end(link.toClient))
        },
        error: () => {}
      }
    }).catch(() => link.client?.terminate())
  }

  #answer(link: Link, data: Buffer): void {
    if (this.#mode === "garbage") crypto.getRandomValues(data)
    this.#inTurn(link, () => {
      send(link.toClient, data)
      this.#noteEvents(link, data)
    })
  }

  #inTurn(link: Link, pass: () => void): void {
    if (this.#mode !== "slow" && link.heldPieces === 0) return pass()
    link.heldPieces++
    setTimeout(() => {
      link.heldPieces--
      pass()
    }, SLOW_MS)
  }

  /** Tells of requests by the user that they name; a body cut inside that name is missed, which loopback does not do. */
  #note(link: Link, data: Buffer): void {
    if (data.length > 5 && data.toString("latin1", 0, 5) === "POST ") {
      link.isGenerating = generating.test(data.toString("latin1", 0, 64))
    }
    if (!link.isGenerating) return
    const start = data.indexOf(userKey)
    if (start < 0) return
    const nameStart = start + userKey.length
    link.user = data.toString("latin1", nameStart, data.indexOf(quote, nameStart))
    link.writtenMs.length = 0
    this.#options.onRequest(link.user)
  }

  #noteEvents(link: Link, data: Buffer): void {
    const nowMs = benchMs()
    for (let at = data.indexOf(eventStart); at >= 0; at = data.indexOf(eventStart, at + eventStart.length)) {
      link.writtenMs.push(nowMs)
    }
    if (link.writtenMs.length === 0 || data.indexOf(lastEvent) < 0) return
    this.#options.onAnswered(link.user, link.writtenMs)
    link.writtenMs.length = 0
  }
}
