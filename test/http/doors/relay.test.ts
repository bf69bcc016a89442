import { afterEach, describe, expect, test } from "bun:test"
import type { Socket } from "bun"
import { Relay, relayHandlers, type RelaySide } from "../../../src/http/doors/Relay.ts"

const cleanups: Array<() => void> = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup()
})

const piece = new Uint8Array(1024 * 1024)

/** A relay between a client that does not read until told and a server that writes without end. */
const stuckRelay = async (stallTimeoutMs: number) => {
  const clientClosed = Promise.withResolvers<void>()
  const seen = { fromServer: 0, atClient: 0 }
  const more = (socket: Socket<undefined>): void => {
    while (socket.write(piece) === piece.length);
  }
  const server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: { open: more, drain: more, data: () => {} }
  })
  const inner: Array<Socket<RelaySide>> = []
  const listener = Bun.listen<RelaySide>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      ...relayHandlers,
      open: (client) => {
        const relay = new Relay(client, () => stallTimeoutMs, () => {}, () => {})
        client.data = { relay, isClient: true }
        Bun.connect<RelaySide>({
          hostname: "127.0.0.1",
          port: server.port,
          data: { relay, isClient: false },
          socket: {
            ...relayHandlers,
            data: (socket, bytes) => {
              seen.fromServer += bytes.length
              relayHandlers.data(socket, bytes)
            },
            open: (socket) => {
              inner.push(socket)
              relay.joined(socket)
            }
          }
        }).catch(() => {})
      },
      close: (socket) => {
        relayHandlers.close(socket)
        clientClosed.resolve()
      }
    }
  })
  const client = await Bun.connect({
    hostname: "127.0.0.1",
    port: listener.port,
    socket: {
      open: (socket) => void socket.pause(),
      data: (_socket, bytes) => void (seen.atClient += bytes.length),
      error: () => {}
    }
  })
  cleanups.push(() => {
    client.terminate()
    listener.stop(true)
    server.stop(true)
  })
  // Both ways are full when nothing moves any more.
  for (let before = -1; before !== seen.fromServer || before === 0;) {
    before = seen.fromServer
    await Bun.sleep(100)
  }
  return { client, clientClosed: clientClosed.promise, seen, resetServer: () => inner[0]?.terminate() }
}

describe("what a server leaves for a client when it closes", () => {
  test("does not wait longer than the limit for a client that takes none of it", async () => {
    const { clientClosed, resetServer, seen } = await stuckRelay(50)
    resetServer()
    await clientClosed
    expect(seen.atClient).toBe(0)
  })

  test("reaches a client that reads on in time, to the last byte", async () => {
    const { client, clientClosed, resetServer, seen } = await stuckRelay(60_000)
    resetServer()
    client.resume()
    await clientClosed
    while (seen.atClient < seen.fromServer) await Bun.sleep(5)
    expect(seen.atClient).toBe(seen.fromServer)
  })
})
