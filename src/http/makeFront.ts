import { Hono } from "hono"
import { getPath } from "hono/utils/url"
import { type GatewayError, MethodNotAllowed, UnknownRoute } from "../errors.ts"
import { errorResponse, toGatewayError } from "./errors.ts"
import { urlTooLong } from "./exchangeErrors.ts"
import type { Front } from "./Front.ts"
import { checkHost } from "./doors/checkHost.ts"
import type { ClientServer } from "./doors/ClientListener.ts"
import { checkHeaders } from "./requestHeaders.ts"
import { proxyRoutes } from "./routes.ts"
import { addStatusRoutes, statusPaths } from "./statusRoutes.ts"

/** What Bun.serve hands over beside the request. */
export interface FrontEnv {
  readonly Bindings: ClientServer
}

/** The HTTP surface of the gateway. */
export const makeFront = (front: Front): Hono<FrontEnv> => {
  const app = new Hono<FrontEnv>({ getPath: pathOf })
  for (const route of proxyRoutes) {
    app.post(route.path, (context) => front.proxy(route, context.req.raw, context.env))
    app.all(route.path, (context) => methodNotAllowed(front, context.req.method, route.path, "POST"))
  }
  for (const path of statusPaths) {
    app.use(path, async ({ req }, next) => {
      checkHead(req.raw, front)
      await next()
    })
  }
  addStatusRoutes(app, front)
  for (const path of statusPaths) {
    app.all(path, (context) => methodNotAllowed(front, context.req.method, context.req.path, "GET, HEAD"))
  }
  app.notFound(({ req }) => {
    checkHead(req.raw, front)
    throw new UnknownRoute({ message: `no route ${req.method} ${req.path}` })
  })
  app.onError((cause) => refusal(front, toGatewayError(cause, front.deps.log)))
  return app
}

/** Bun's URL of a request without a Host begins with the path, and Hono would look for it behind a host's place. */
export const pathOf = (request: Request): string =>
  getPath(request.url.startsWith("/") ? { url: `http://host${request.url}` } as Request : request)

/** Asked before there is a route; undefined: the Host is one. */
export const hostRefusal = (front: Front, { headers }: Request): Response | undefined => {
  try {
    checkHost(headers)
    return undefined
  } catch (cause) {
    return refusal(front, toGatewayError(cause, front.deps.log))
  }
}

/** What requests for pods may not exceed either. Throws UrlTooLong or HeadersTooLarge. */
const checkHead = (request: Request, { deps: { options } }: Front): void => {
  if (request.url.length > options.urlCharsMax) throw urlTooLong(options.urlCharsMax)
  checkHeaders(request.headers, options)
}

const refusal = (front: Front, error: GatewayError): Response => {
  front.deps.metrics.refused(error)
  return errorResponse(error, undefined, false)
}

const methodNotAllowed = (front: Front, method: string, path: string, allow: string): Response => {
  const response = refusal(front, new MethodNotAllowed({ message: `${path} does not take ${method}` }))
  response.headers.set("allow", allow)
  return response
}
