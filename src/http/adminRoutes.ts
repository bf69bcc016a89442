import { Hono } from "hono"
import type { PoolView } from "../../actors/PoolView.ts"
import type { Exclusion, PickExplanation, PodExplanation } from "../core/Explanation.ts"
import type { RequestFeatures } from "../core/RequestFeatures.ts"
import { BadRequest, MethodNotAllowed, Overloaded, UnknownRoute } from "../errors.ts"
import { checkHost } from "./doors/checkHost.ts"
import { errorResponse, toGatewayError } from "./errors.ts"
import { pathOf } from "./makeFront.ts"
import { readBody } from "./readBody.ts"
import { addReloadRoute, type Reload, reloadPath } from "./reloadRoute.ts"
import { type ProxyRoute, proxyRoutes } from "./routes.ts"
import { metricsPage, readiness } from "./statusRoutes.ts"

/** Where an operator asks why. */
export const explainPath = "/warmroute/explain"

const defaultPath = "/v1/chat/completions"

/** What the admin listener needs from the rest of the gateway. */
export interface AdminDeps {
  readonly explain: (features: RequestFeatures) => Promise<PickExplanation>
  /** Reads a body as the front does, with what it learned. Throws BadRequest. */
  readonly readFeatures: (route: ProxyRoute, headers: Headers, bytes: Uint8Array) => RequestFeatures
  readonly pool: PoolView
  /** Prometheus text 0.0.4. */
  readonly metricsText: () => string
  readonly reload: Reload
  /** A stop of the gateway has been announced. */
  readonly stopping: () => boolean
  /** Of now. */
  readonly bodyBytesMax: () => number
  /** Questions in hand at once; one more gets 429. */
  readonly openMax: number
  readonly log: (message: string, cause: unknown) => void
}

/** What only operators may ask; listens apart from the clients' port. */
export const makeAdmin = (deps: AdminDeps): Hono => {
  const app = new Hono({ getPath: pathOf })
  app.use(async ({ req }, next) => {
    checkHost(req.raw.headers)
    await next()
  })
  let open = 0
  app.post(explainPath, async (context) => {
    if (open >= deps.openMax) {
      throw new Overloaded("too_many_explanations", `${open} explanations are under way already`, 1)
    }
    open++
    try {
      return context.json(await explain(context.req.raw, deps))
    } finally {
      open--
    }
  })
  app.all(explainPath, ({ req }) => {
    const message = `${explainPath} does not take ${req.method}`
    const response = errorResponse(new MethodNotAllowed({ message }), undefined, false)
    response.headers.set("allow", "POST")
    return response
  })
  app.get("/metrics", () => metricsPage(deps.metricsText()))
  app.get("/readyz", () => readiness(deps.pool, deps.stopping(), true))
  addReloadRoute(app, deps.reload)
  app.notFound(({ req }) =>
    errorResponse(
      new UnknownRoute({
        message:
          `no route ${req.method} ${req.path} for operators; there are POST ${explainPath} and ${reloadPath}, GET /metrics and GET /readyz`
      }),
      undefined,
      false
    )
  )
  app.onError((cause) => errorResponse(toGatewayError(cause, deps.log), undefined, false))
  return app
}

const explain = async (request: Request, deps: AdminDeps): Promise<unknown> => {
  const bytes = await readBody(request, deps.bodyBytesMax())
  const asked = enveloped(bytes)
  const path = asked?.path ?? new URL(request.url, "http://operators").searchParams.get("path") ?? defaultPath
  const route = proxyRoutes.find((route) => route.path === path && route.prompt !== "form")
  if (route === undefined) {
    const paths = proxyRoutes.filter(({ prompt }) => prompt !== "form").map(({ path }) => path)
    throw new BadRequest({ message: `can't explain a request to ${path}; it must be to one of ${paths.join(", ")}` })
  }
  const told = await deps.explain(deps.readFeatures(route, request.headers, asked?.body ?? bytes))
  const reasons = new Map(deps.pool.pods().map((pod) => [pod.address.id, sickness(pod)]))
  return {
    policy: told.policy,
    model: told.model,
    promptTokens: told.promptTokens,
    expectedOutputTokens: told.expectedOutputTokens,
    picked: told.picked ?? null,
    predictedTtftS: told.predictedTtftS ?? null,
    waits: told.waits ?? null,
    why: told.why,
    columns: told.columns,
    pods: told.pods.map((pod) => podText(pod, told.model, reasons.get(pod.id)))
  }
}

const podText = ({ excluded, ...pod }: PodExplanation, model: string, sickness: string | undefined) => ({
  ...pod,
  accepting: excluded !== "not-accepting",
  excluded: excluded === undefined ? null : exclusionWords(excluded, model, sickness)
})

/** `{"path": …, "body": {…}}`; undefined when the bytes are a route's own body. What is no JSON the route's reader refuses. */
const enveloped = (bytes: Uint8Array): { readonly path: string; readonly body: Uint8Array } | undefined => {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder().decode(bytes))
  } catch {
    return undefined
  }
  if (typeof value !== "object" || value === null || !("body" in value)) return undefined
  const { body, path = defaultPath } = value as { readonly body: unknown; readonly path?: unknown }
  if (typeof path !== "string") throw new BadRequest({ message: "path must be a string", param: "path" })
  if (typeof body !== "object") throw new BadRequest({ message: "body must be a JSON object", param: "body" })
  return { path, body: new TextEncoder().encode(JSON.stringify(body)) }
}

const sickness = ({ health, reason }: ReturnType<PoolView["pods"]>[number]): string | undefined =>
  health === "healthy" ? undefined : `${health}${reason === undefined ? "" : `: ${reason}`}`

const exclusionWords = (excluded: Exclusion, model: string, sickness: string | undefined): string => {
  switch (excluded) {
    case "not-accepting":
      return sickness ?? "takes no requests now"
    case "breaker-open":
      return "its circuit breaker is open"
    case "other-model":
      return `does not serve ${model}`
    case "too-short":
      return "its context is too short for this request, and another pod's is not"
    case "filtered":
      return "refused by the policy's filters"
    default:
      return excluded satisfies never
  }
}
