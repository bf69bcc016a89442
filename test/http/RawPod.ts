import type { Socket, TCPSocketListener } from "bun"
import { type PodAddress, podAddress } from "../../src/core/Pod.ts"

type PodSocket = Socket<{ text: string }>

/** A TCP server that speaks whatever bytes a test wants. Stop it with `using`. */
export class RawPod implements Disposable {
  readonly address: PodAddress
  /** Everything received, one text for each connection, Latin-1. */
  readonly received: Array<string> = []
  /** Set when a client has gone: performance.now(). */
  closedAtMs: Array<number> = []
  connections = 0
  receivedBytes = 0
  private readonly listener: TCPSocketListener<{ text: string }>
  private waiters: Array<() => void> = []
  private readonly open = new Set<PodSocket>()

  /** `onRequest` runs each time a whole request (head and its content-length) has come. */
  constructor(
    onRequest: (socket: PodSocket, request: string, connection: number, nth: number) => void,
    tls?: { readonly key: string; readonly cert: string },
    onOpen: (socket: PodSocket) => void = () => {}
  ) {
    const nths = new WeakMap<PodSocket, { connection: number; nth: number }>()
    this.listener = Bun.listen<{ text: string }>({
      hostname: "127.0.0.1",
      port: 0,
      ...(tls === undefined ? {} : { tls }),
      socket: {
        open: (socket) => {
          socket.data = { text: "" }
          this.open.add(socket)
          nths.set(socket, { connection: this.connections++, nth: 0 })
          onOpen(socket)
          this.changed()
        },
        data: (socket, bytes) => {
          this.receivedBytes += bytes.length
          socket.data.text += bytes.toString("latin1")
          const at = nths.get(socket) ?? { connection: 0, nth: 0 }
          for (let length = wholeRequest(socket.data.text); length > 0; length = wholeRequest(socket.data.text)) {
            const request = socket.data.text.slice(0, length)
            socket.data.text = socket.data.text.slice(length)
            this.received.push(request)
            onRequest(socket, request, at.connection, at.nth++)
          }
          this.changed()
        },
        close: (socket) => {
          this.open.delete(socket)
          this.closedAtMs.push(performance.now())
          this.changed()
        },
        error: () => {}
      }
    })
    this.address = podAddress("127.0.0.1", this.listener.port, tls !== undefined)
  }

  /** Resolves when the condition holds after something happened on a socket. */
  async until(condition: (pod: RawPod) => boolean): Promise<void> {
    while (!condition(this)) await new Promise<void>((resolve) => void this.waiters.push(resolve))
  }

  writeToAll(text: string): void {
    for (const socket of this.open) socket.write(text)
  }

  /** Resets every connection. */
  breakAll(): void {
    for (const socket of this.open) socket.terminate()
  }

  [Symbol.dispose](): void {
    this.listener.stop(true)
  }

  private changed(): void {
    const waiters = this.waiters
    this.waiters = []
    for (const waiter of waiters) waiter()
  }
}

const wholeRequest = (text: string): number => {
  const end = text.indexOf("\r\n\r\n")
  if (end < 0) return 0
  const length = Number(/\r\ncontent-length: (\d+)/i.exec(text.slice(0, end))?.[1] ?? 0)
  return text.length >= end + 4 + length ? end + 4 + length : 0
}

/** An address on which nothing listens. */
export const deadAddress = (): PodAddress => {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => {} } })
  const address = podAddress("127.0.0.1", listener.port, false)
  listener.stop(true)
  return address
}
