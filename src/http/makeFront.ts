import { Hono } from "hono"
import { MethodNotAllowed, UnknownRoute } from "../errors.ts"
import { errorResponse, toGatewayError } from "./errors.ts"
import type { Front } from "./Front.ts"
import type { ClientServer } from "./doors/ClientListener.ts"
import { proxyRoutes } from "./routes.ts"
import { addStatusRoutes, statusPaths } from "./statusRoutes.ts"

/** What Bun.serve hands over beside the request. */
export interface FrontEnv {
  readonly Bindings: ClientServer
}

/** The HTTP surface of the gateway. */
export const makeFront = (front: Front): Hono<FrontEnv> => {
  const app = new Hono<FrontEnv>()
  for (const route of proxyRoutes) {
    app.post(route.path, (context) => front.proxy(route, context.req.raw, context.env))
    app.all(route.path, (context) => methodNotAllowed(context.req.method, route.path, "POST"))
  }
  addStatusRoutes(app, front)
  for (const path of statusPaths) {
    app.all(path, (context) => methodNotAllowed(context.req.method, context.req.path, "GET, HEAD"))
  }
  app.notFound((context) =>
    errorResponse(new UnknownRoute({ message: `no route ${context.req.method} ${context.req.path}` }), undefined, false)
  )
  app.onError((cause) => errorResponse(toGatewayError(cause, front.deps.log), undefined, false))
  return app
}

const methodNotAllowed = (method: string, path: string, allow: string): Response => {
  const response = errorResponse(new MethodNotAllowed({ message: `${path} does not take ${method}` }), undefined, false)
  response.headers.set("allow", allow)
  return response
}
