import type { ClientServer } from "../ProxyExchange.ts"
import { type ClientListener, type ClientServing, startBunServer } from "./ClientListener.ts"
import { Relay, relayHandlers, type RelaySide } from "./Relay.ts"
import { checkPair, type TlsPair } from "./TlsPair.ts"

/** One certificate's server, on a port of the loopback; it ends with its last connection once another has taken over. */
interface Generation {
  readonly server: Bun.Server<undefined>
  connections: number
}

/**
 * Serves over TLS. Bun can't change the certificate of a server (oven-sh/bun#43815), and two servers on one port lose
 * the connections that are waiting at the one that closes. So the port is a plain listener that joins each connection,
 * as encrypted bytes, to the server of the newest certificate. Throws as listenPlain does, or for a bad pair.
 */
export const listenTls = (serving: ClientServing, first: TlsPair): ClientListener => {
  const addresses = new Map<number, string>()
  const known = (server: ClientServer): ClientServer => ({
    requestIP: (request) => {
      const inner = server.requestIP?.(request) as { readonly address: string; readonly port: number } | null
      return inner === null ? null : { address: addresses.get(inner.port) ?? inner.address }
    },
    timeout: (request, seconds) => server.timeout?.(request, seconds)
  })
  const generations = new Set<Generation>()
  const begin = (pair: TlsPair): Generation => {
    checkPair(pair)
    const inner = { ...serving, hostname: "127.0.0.1", port: 0, reusePort: false }
    const server = startBunServer({ ...inner, fetch: (request, server) => serving.fetch(request, known(server)) }, pair)
    const generation = { server, connections: 0 }
    generations.add(generation)
    return generation
  }
  let newest = begin(first)
  const endIfOver = (generation: Generation): void => {
    if (generation === newest || generation.connections > 0) return
    generations.delete(generation)
    generation.server.stop(true).catch(() => {})
  }
  const listener = Bun.listen<RelaySide>({
    hostname: serving.hostname,
    port: serving.port,
    socket: {
      ...relayHandlers,
      open: (socket) => {
        socket.setNoDelay(true)
        const generation = newest
        generation.connections++
        let innerPort: number | undefined
        const relay = new Relay(socket, () => {
          generation.connections--
          if (innerPort !== undefined) addresses.delete(innerPort)
          endIfOver(generation)
        })
        socket.data = { relay, isClient: true }
        Bun.connect<RelaySide>({
          hostname: "127.0.0.1",
          port: generation.server.port ?? 0,
          data: { relay, isClient: false },
          socket: {
            ...relayHandlers,
            open: (inner) => {
              inner.setNoDelay(true)
              innerPort = inner.localPort
              addresses.set(innerPort, relay.clientAddress)
              relay.joined(inner)
            },
            connectError: () => void socket.terminate()
          }
        }).catch(() => {})
      }
    }
  })
  return {
    url: `https://${serving.hostname.includes(":") ? `[${serving.hostname}]` : serving.hostname}:${listener.port}`,
    port: listener.port,
    pendingRequests: () => [...generations].reduce((sum, { server }) => sum + server.pendingRequests, 0),
    stop: async (force) => {
      listener.stop(force)
      await Promise.all([...generations].map(({ server }) => server.stop(force)))
    },
    replaceTls: (pair) => {
      const before = newest
      newest = begin(pair)
      endIfOver(before)
    }
  }
}
