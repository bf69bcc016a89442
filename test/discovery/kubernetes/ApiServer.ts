import type { IncomingMessage, ServerResponse } from "node:http"
import { createServer, type Server } from "node:https"
import type { AddressInfo, Socket } from "node:net"
import { join } from "node:path"
import { readFileSync } from "node:fs"

const tlsDirectory = join(import.meta.dir, "../../fixtures/kubernetes/tls")

/** Path of a file of the tests' certificates. */
export const tlsFile = (name: string): string => join(tlsDirectory, name)

export interface ApiObject {
  readonly apiVersion?: string
  readonly kind?: string
  readonly metadata: { readonly name: string } & Readonly<Record<string, unknown>>
  readonly [field: string]: unknown
}

interface Event {
  readonly version: number
  readonly type: "ADDED" | "MODIFIED" | "DELETED"
  readonly object: ApiObject
  /** Its state before, to tell watches with a selector what entered and what left. */
  readonly before: ApiObject | undefined
}

interface Watch {
  readonly path: string
  readonly select: (object: ApiObject) => boolean
  readonly response: ServerResponse
}

/** What the server was asked, for tests to look at. */
export interface Asked {
  readonly path: string
  readonly query: URLSearchParams
  readonly authorization: string | undefined
  /** The client showed a certificate that the cluster's CA signed. */
  readonly certified: boolean
}

/** An answer in place of the right one. */
export interface Fault {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

const status = (code: number, reason: string, message: string) => ({
  kind: "Status",
  apiVersion: "v1",
  metadata: {},
  status: "Failure",
  message,
  reason,
  code
})

const selector = (text: string | null): (object: ApiObject) => boolean => {
  const wanted = (text ?? "").split(",").filter((part) => part !== "").map((part) => part.split("="))
  return ({ metadata }) => {
    const labels = metadata["labels"] as Record<string, string> | undefined
    return wanted.every(([name, value]) => labels?.[name ?? ""] === value)
  }
}

const fieldSelector = (text: string | null): (object: ApiObject) => boolean => {
  const name = text?.match(/^metadata\.name=(.*)$/)?.[1]
  return ({ metadata }) => name === undefined || metadata.name === name
}

/**
 * The part of a Kubernetes API server that list and watch need, over TLS and with its wire format: lists with pages,
 * chunked watches from a resource version, bookmarks, 410 after a compaction, tokens and client certificates.
 * A collection is named by its path, such as `/api/v1/namespaces/default/pods`.
 */
export class ApiServer {
  readonly port: number
  readonly asked: Array<Asked> = []
  /** Bearer tokens that are let in; a client certificate is, too. */
  readonly tokens = new Set<string>(["secret"])
  /** Paths that are forbidden to everybody. */
  readonly forbidden = new Set<string>()
  private readonly server: Server
  private readonly collections = new Map<string, Map<string, ApiObject>>()
  private readonly events = new Map<string, Array<Event>>()
  private readonly watches = new Set<Watch>()
  private readonly sockets = new Set<Socket>()
  private readonly faults: Array<{ readonly match: RegExp; readonly fault: Fault }> = []
  private readonly onAsked = new Set<() => void>()
  private version = 1000
  /** Watches and continued lists from before this are too old. */
  private compactedAt = 0

  private constructor(server: Server, port: number) {
    this.server = server
    this.port = port
  }

  static async start(collections: ReadonlyArray<string>): Promise<ApiServer> {
    const file = (name: string) => readFileSync(tlsFile(name))
    const server = createServer({
      key: file("server.key"),
      cert: file("server.crt"),
      ca: file("ca.crt"),
      requestCert: true,
      rejectUnauthorized: false
    })
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    const self = new ApiServer(server, (server.address() as AddressInfo).port)
    for (const path of collections) self.install(path)
    server.on("request", (request, response) => self.answer(request, response))
    server.on("secureConnection", (socket: Socket) => {
      self.sockets.add(socket)
      socket.on("close", () => self.sockets.delete(socket))
    })
    return self
  }

  get url(): string {
    return `https://127.0.0.1:${this.port}`
  }

  stop(): Promise<void> {
    this.cutConnections()
    return new Promise((resolve) => this.server.close(() => resolve()))
  }

  /** Makes a resource known, as installing its CRD does. */
  install(path: string): void {
    this.collections.set(path, new Map())
    this.events.set(path, [])
  }

  put(path: string, object: ApiObject): void {
    const known = this.collection(path)
    const before = known.get(object.metadata.name)
    const version = ++this.version
    const stored = {
      ...object,
      metadata: {
        namespace: "default",
        creationTimestamp: "2026-11-22T10:00:00Z",
        ...object.metadata,
        resourceVersion: String(version)
      }
    }
    known.set(object.metadata.name, stored)
    this.publish(path, { version, type: before === undefined ? "ADDED" : "MODIFIED", object: stored, before })
  }

  remove(path: string, name: string): void {
    const known = this.collection(path)
    const before = known.get(name)
    if (before === undefined) throw new Error(`${path} has no ${name}`)
    known.delete(name)
    const version = ++this.version
    const object = { ...before, metadata: { ...before.metadata, resourceVersion: String(version) } }
    this.publish(path, { version, type: "DELETED", object, before })
  }

  /** Changes that no watch of the collection hears of, as if they had come while none was open. */
  silently(change: () => void): void {
    const watches = [...this.watches]
    this.watches.clear()
    change()
    for (const watch of watches) this.watches.add(watch)
  }

  /** Forgets the history: an older resource version is answered with 410. */
  compact(): void {
    this.compactedAt = this.version
    for (const events of this.events.values()) events.length = 0
  }

  /** Moves the resource version on without a change, and tells every watch by a bookmark. */
  bookmark(): void {
    const version = String(++this.version)
    for (const { response } of this.watches) {
      const object = { kind: "Pod", apiVersion: "v1", metadata: { resourceVersion: version, creationTimestamp: null } }
      response.write(`${JSON.stringify({ type: "BOOKMARK", object })}\n`)
    }
  }

  /** Ends all watches, as a server does when their time is over. */
  finishWatches(): void {
    for (const { response } of this.watches) response.end()
    this.watches.clear()
  }

  /** Ends all watches with an error event. */
  endWatches(code: number, message: string): void {
    for (const watch of this.watches) {
      watch.response.end(`${JSON.stringify({ type: "ERROR", object: status(code, "Expired", message) })}\n`)
    }
    this.watches.clear()
  }

  /** Text as it is to all watches of a collection. */
  send(path: string, text: string): void {
    for (const watch of this.watches) if (watch.path === path) watch.response.write(text)
  }

  cutConnections(): void {
    for (const socket of this.sockets) socket.destroy()
    this.watches.clear()
  }

  /** The next question whose path and query match gets this answer. */
  failNext(match: RegExp, fault: Fault): void {
    this.faults.push({ match, fault })
  }

  /** Waits until a question was asked that matches, the past ones included. */
  async wasAsked(what: string, match: (asked: Asked) => boolean, times = 1): Promise<void> {
    const deadline = AbortSignal.timeout(10_000)
    while (this.asked.filter(match).length < times) {
      if (deadline.aborted) throw new Error(`nobody asked for ${what} within 10 s`)
      await new Promise<void>((resolve) => {
        const done = () => {
          this.onAsked.delete(done)
          resolve()
        }
        this.onAsked.add(done)
        deadline.addEventListener("abort", done)
      })
    }
  }

  /** Watches of a collection that are open. */
  openWatches(path: string): number {
    return [...this.watches].filter((watch) => watch.path === path).length
  }

  private collection(path: string): Map<string, ApiObject> {
    const known = this.collections.get(path)
    if (known === undefined) throw new Error(`there is no collection ${path}`)
    return known
  }

  private publish(path: string, event: Event): void {
    this.events.get(path)?.push(event)
    let text: string | undefined
    for (const watch of this.watches) {
      if (watch.path !== path) continue
      const type = typeFor(event, watch.select)
      if (type === undefined) continue
      if (type === event.type) watch.response.write(text ??= lineOf(event.type, event.object))
      else watch.response.write(lineOf(type, event.object))
    }
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? "/", this.url)
    const { authorization } = request.headers
    const certified = (request.socket as Socket & { readonly authorized?: boolean }).authorized === true
    this.asked.push({ path: url.pathname, query: url.searchParams, authorization, certified })
    for (const done of this.onAsked) done()
    const index = this.faults.findIndex(({ match }) => match.test(`${url.pathname}${url.search}`))
    const [injected] = index < 0 ? [] : this.faults.splice(index, 1)
    if (injected !== undefined) return refuse(response, injected.fault)
    if (!certified && !this.tokens.has(authorization?.replace(/^Bearer /, "") ?? "")) {
      return refuse(response, { status: 401, body: JSON.stringify(status(401, "Unauthorized", "Unauthorized")) })
    }
    if (this.forbidden.has(url.pathname)) {
      const message = `${
        url.pathname.split("/").at(-1)
      } is forbidden: User "system:serviceaccount:default:warmroute" cannot list`
      return refuse(response, { status: 403, body: JSON.stringify(status(403, "Forbidden", message)) })
    }
    if (!this.collections.has(url.pathname)) return refuse(response, { status: 404, body: "404 page not found\n" })
    if (url.searchParams.get("watch") === "true") this.watch(url, response)
    else this.list(url, response)
  }

  private list(url: URL, response: ServerResponse): void {
    const select = selectorOf(url)
    const limit = Number(url.searchParams.get("limit") ?? 0)
    const [from, version] = (url.searchParams.get("continue") ?? `0:${this.version}`).split(":").map(Number)
    if (from === undefined || version === undefined || (from > 0 && version < this.compactedAt)) {
      const expired = status(
        410,
        "Expired",
        "The provided continue parameter is too old to display a consistent list result"
      )
      return refuse(response, { status: 410, body: JSON.stringify(expired) })
    }
    const all = [...this.collection(url.pathname).values()].filter(select)
    const page = limit > 0 ? all.slice(from, from + limit) : all
    const next = from + page.length
    const more = next < all.length
      ? { continue: `${next}:${version}`, remainingItemCount: all.length - next }
      : {}
    // Lists of built-in types leave kind and apiVersion of the items out.
    const list = {
      kind: "List",
      apiVersion: "v1",
      metadata: { resourceVersion: String(version), ...more },
      items: page
    }
    response.writeHead(200, { "content-type": "application/json" })
    response.end(JSON.stringify(list))
  }

  private watch(url: URL, response: ServerResponse): void {
    const path = url.pathname
    const select = selectorOf(url)
    const since = Number(url.searchParams.get("resourceVersion") ?? 0)
    response.writeHead(200, { "content-type": "application/json" })
    if (since < this.compactedAt) {
      const expired = status(410, "Expired", `too old resource version: ${since} (${this.compactedAt})`)
      response.end(`${JSON.stringify({ type: "ERROR", object: expired })}\n`)
      return
    }
    response.flushHeaders()
    for (const event of this.events.get(path) ?? []) {
      const type = event.version > since ? typeFor(event, select) : undefined
      if (type !== undefined) response.write(lineOf(type, event.object))
    }
    const watch = { path, select, response }
    this.watches.add(watch)
    const timeoutS = Number(url.searchParams.get("timeoutSeconds") ?? 0)
    const timer = timeoutS > 0 ? setTimeout(() => response.end(), timeoutS * 1000) : undefined
    response.on("close", () => {
      clearTimeout(timer)
      this.watches.delete(watch)
    })
  }
}

const selectorOf = (url: URL): (object: ApiObject) => boolean => {
  const byLabel = selector(url.searchParams.get("labelSelector"))
  const byField = fieldSelector(url.searchParams.get("fieldSelector"))
  return (object) => byLabel(object) && byField(object)
}

/** How a watch with a selector sees a change: what enters the selection is added, what leaves it is deleted. */
const typeFor = (
  { before, object, type }: Event,
  select: (object: ApiObject) => boolean
): Event["type"] | undefined => {
  const was = before !== undefined && select(before)
  const is = type !== "DELETED" && select(object)
  if (was) return is ? "MODIFIED" : "DELETED"
  return is ? "ADDED" : undefined
}

const lineOf = (type: string, object: ApiObject): string => `${JSON.stringify({ type, object })}\n`

const refuse = (response: ServerResponse, { body, headers, status }: Fault): void => {
  response.writeHead(status, { "content-type": "application/json", ...headers })
  response.end(body ?? "")
}
