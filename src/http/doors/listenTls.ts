import type { Socket } from "bun"
import { type ClientListener, type ClientServer, type ClientServing, startBunServer } from "./ClientListener.ts"
import { Relay, relayHandlers, type RelaySide } from "./Relay.ts"
import { checkPair, type TlsPair } from "./TlsPair.ts"

/** One certificate's server, on a port of the loopback; it ends with its last connection once another has taken over. */
interface Generation {
  readonly server: Bun.Server<undefined>
  connections: number
}

const pollMs = 5
const relayMs = 1_000

/** The servers of the certificates in use, and who is behind each connection to them. */
class Generations {
  private readonly serving: ClientServing
  private readonly all = new Set<Generation>()
  private readonly addresses = new Map<number, string>()
  /** One for each client that is connected. */
  private readonly relays = new Set<Relay>()
  private newest: Generation

  constructor(serving: ClientServing, first: TlsPair) {
    this.serving = serving
    this.newest = this.begin(first)
  }

  get pendingRequests(): number {
    let sum = 0
    for (const { server } of this.all) sum += server.pendingRequests
    for (const { owesClient } of this.relays) if (owesClient) sum++
    return sum
  }

  replace(pair: TlsPair): void {
    const before = this.newest
    this.newest = this.begin(pair)
    this.endIfOver(before)
  }

  /** By force it also waits a little until the relays have passed on what the servers had sent. */
  async stop(force: boolean): Promise<void> {
    await Promise.all([...this.all].map(({ server }) => server.stop(force)))
    if (!force) return
    const deadlineMs = performance.now() + relayMs
    while (this.connections > 0 && performance.now() < deadlineMs) await Bun.sleep(pollMs)
  }

  private get connections(): number {
    let sum = 0
    for (const { connections } of this.all) sum += connections
    return sum
  }

  /** Joins a client's connection to the server of the newest certificate. */
  join(client: Socket<RelaySide>): void {
    const { addresses, newest } = this
    newest.connections++
    let innerPort: number | undefined
    const relay = new Relay(client, this.serving.stallTimeoutMs, () => {
      newest.connections--
      if (innerPort !== undefined) addresses.delete(innerPort)
      this.endIfOver(newest)
    }, () => void this.relays.delete(relay))
    this.relays.add(relay)
    client.data = { relay, isClient: true }
    Bun.connect<RelaySide>({
      hostname: "127.0.0.1",
      port: newest.server.port ?? 0,
      data: { relay, isClient: false },
      socket: {
        ...relayHandlers,
        open: (inner) => {
          inner.setNoDelay(true)
          innerPort = inner.localPort
          addresses.set(innerPort, relay.clientAddress)
          relay.joined(inner)
        },
        connectError: () => void client.terminate()
      }
    }).catch(() => {})
  }

  private begin(pair: TlsPair): Generation {
    checkPair(pair)
    const { fetch } = this.serving
    const server = startBunServer({
      ...this.serving,
      hostname: "127.0.0.1",
      port: 0,
      reusePort: false,
      fetch: (request, server) => fetch(request, this.knowingClients(server))
    }, pair)
    const generation = { server, connections: 0 }
    this.all.add(generation)
    return generation
  }

  private endIfOver(generation: Generation): void {
    if (generation === this.newest || generation.connections > 0) return
    this.all.delete(generation)
    generation.server.stop(true).catch(() => {})
  }

  private knowingClients(server: ClientServer): ClientServer {
    return {
      requestIP: (request) => {
        const inner = server.requestIP?.(request) as { readonly address: string; readonly port: number } | null
        return inner === null ? null : { address: this.addresses.get(inner.port) ?? inner.address }
      },
      timeout: (request, seconds) => server.timeout?.(request, seconds)
    }
  }
}

/**
 * Serves over TLS. Bun can't change the certificate of a server (oven-sh/bun#43815), and two servers on one port lose
 * the connections that are waiting at the one that closes. So the port is a plain listener that joins each connection,
 * as encrypted bytes, to the server of the newest certificate. Throws as listenPlain does, or for a bad pair.
 */
export const listenTls = (serving: ClientServing, first: TlsPair): ClientListener => {
  const generations = new Generations(serving, first)
  const { hostname } = serving
  let listener: Bun.TCPSocketListener<RelaySide>
  try {
    listener = Bun.listen<RelaySide>({
      hostname,
      port: serving.port,
      socket: {
        ...relayHandlers,
        open: (socket) => {
          socket.setNoDelay(true)
          generations.join(socket)
        }
      }
    })
  } catch (cause) {
    generations.stop(true).catch(() => {})
    throw cause
  }
  return {
    url: `https://${hostname.includes(":") ? `[${hostname}]` : hostname}:${listener.port}`,
    port: listener.port,
    pendingRequests: () => generations.pendingRequests,
    stop: async (force) => {
      // By force it would take from clients what is still on its way to them.
      if (!force) listener.stop()
      await generations.stop(force)
      if (force) listener.stop(true)
    },
    replaceTls: (pair) => generations.replace(pair)
  }
}
