import { tlsPair } from "../http/tlsPair.ts"

/** A pod behind TLS that asks for a certificate and a bearer token, as a service mesh and vLLM's --api-key do. */
export interface GuardedPod {
  readonly url: string
  /** Changes the token that it takes. */
  readonly takes: (token: string) => void
  /** Headers of each request that was let in. */
  readonly seen: ReadonlyArray<Headers>
  readonly stop: () => void
}

/** `podUrl` is the plain pod behind it, `clientCert` the certificate that it asks for. */
export const startGuardedPod = (podUrl: string, clientCert: string, firstToken: string): GuardedPod => {
  const seen: Array<Headers> = []
  let token = firstToken
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    tls: { ...tlsPair, ca: clientCert, requestCert: true, rejectUnauthorized: true },
    fetch: async (request) => {
      if (request.headers.get("authorization") !== `Bearer ${token}`) return new Response("no", { status: 401 })
      seen.push(request.headers)
      const { pathname, search } = new URL(request.url)
      const body = request.method === "POST" ? await request.bytes() : null
      return fetch(podUrl + pathname + search, { method: request.method, headers: request.headers, body })
    }
  })
  return {
    url: `https://127.0.0.1:${server.port}`,
    takes: (next) => {
      token = next
    },
    seen,
    stop: () => void server.stop(true)
  }
}
