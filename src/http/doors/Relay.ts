import type { Socket } from "bun"

/** One of the two sockets of a relay. */
export interface RelaySide {
  readonly relay: Relay
  readonly isClient: boolean
}

type RelaySocket = Socket<RelaySide>

/**
 * Two sockets joined byte for byte: what one can't take yet stops the reading of the other. Who keeps the server waiting
 * is the server's to judge; once it has closed, what is left for a client waits so long as the client takes of it.
 */
export class Relay {
  readonly clientAddress: string
  private readonly client: RelaySocket
  private readonly stallTimeoutMs: () => number
  private stallTimer: Timer | undefined
  private readonly whenOver: () => void
  private readonly whenGone: () => void
  private server: RelaySocket | undefined
  private readonly waiting: Record<"client" | "server", Array<Uint8Array>> = { client: [], server: [] }
  private over = false

  /**
   * `stallTimeoutMs`: longest time in which a client takes nothing of what a closed server left for it. `whenOver`: one
   * side has closed; `whenGone`: the client's.
   */
  constructor(client: RelaySocket, stallTimeoutMs: () => number, whenOver: () => void, whenGone: () => void) {
    this.client = client
    this.stallTimeoutMs = stallTimeoutMs
    this.clientAddress = client.remoteAddress
    this.whenOver = whenOver
    this.whenGone = whenGone
  }

  /** It holds what the client has not taken. */
  get owesClient(): boolean {
    return this.waiting.client.length > 0
  }

  joined(server: RelaySocket): void {
    if (this.over) return void server.terminate()
    this.server = server
    this.flush("server")
  }

  received({ isClient }: RelaySide, bytes: Uint8Array): void {
    const to = isClient ? "server" : "client"
    const socket = this[to]
    const wrote = socket === undefined || this.waiting[to].length > 0 ? 0 : Math.max(0, socket.write(bytes))
    if (wrote === bytes.length) return
    this.waiting[to].push(bytes.slice(wrote))
    this.from(to)?.pause()
  }

  drained({ isClient }: RelaySide): void {
    if (this.over && isClient) this.watchClient()
    this.flush(isClient ? "client" : "server")
  }

  /** One side is gone; what it had sent before still goes to the client. */
  closed({ isClient }: RelaySide): void {
    if (isClient) {
      clearTimeout(this.stallTimer)
      this.whenGone()
    }
    if (this.over) return
    this.over = true
    if (isClient) this.server?.terminate()
    else if (this.waiting.client.length === 0) this.client.end()
    else this.watchClient()
    this.whenOver()
  }

  private watchClient(): void {
    clearTimeout(this.stallTimer)
    this.stallTimer = setTimeout(() => this.client.terminate(), this.stallTimeoutMs())
  }

  private flush(to: "client" | "server"): void {
    const socket = this[to]
    const waiting = this.waiting[to]
    if (socket === undefined) return
    for (let next = waiting[0]; next !== undefined; next = waiting[0]) {
      const wrote = Math.max(0, socket.write(next))
      if (wrote < next.length) {
        waiting[0] = next.subarray(wrote)
        return
      }
      waiting.shift()
    }
    if (this.over && to === "client") this.client.end()
    else this.from(to)?.resume()
  }

  private from(to: "client" | "server"): RelaySocket | undefined {
    return to === "server" ? this.client : this.server
  }
}

/** For the sockets of either side. */
export const relayHandlers = {
  binaryType: "uint8array",
  data: (socket: RelaySocket, bytes: Uint8Array) => socket.data.relay.received(socket.data, bytes),
  drain: (socket: RelaySocket) => socket.data.relay.drained(socket.data),
  close: (socket: RelaySocket) => socket.data.relay.closed(socket.data),
  error: (socket: RelaySocket) => void socket.terminate()
} as const
