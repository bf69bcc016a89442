import type { Hono } from "hono"
import type { ModelCard, PoolView } from "../../actors/PoolView.ts"
import { UnknownModel, UnknownRoute } from "../errors.ts"
import { errorResponse } from "./errors.ts"
import type { Front } from "./Front.ts"
import type { FrontEnv } from "./makeFront.ts"

/** Routes that the gateway answers by itself; all GET. */
export const statusPaths = [
  "/v1/models",
  "/v1/models/:id{.+}",
  "/livez",
  "/readyz",
  "/health",
  "/version",
  "/metrics"
] as const

export const addStatusRoutes = (app: Hono<FrontEnv>, front: Front): void => {
  app.get("/v1/models", ({ req }) => Response.json({ object: "list", data: visibleCards(front, req.raw.headers) }))
  app.get("/v1/models/:id{.+}", (context) => {
    const id = context.req.param("id")
    const card = visibleCards(front, context.req.raw.headers).find((card) => card.id === id)
    if (card !== undefined) return Response.json(card)
    return errorResponse(
      new UnknownModel({ message: `no pod serves a model "${id}"`, param: "model" }),
      undefined,
      false
    )
  })
  app.get("/livez", () => new Response("ok\n"))
  // Load balancers have no key, and the names of sick pods are none of a stranger's business.
  const ready = () => readiness(front.deps.pool, front.draining, front.deps.keys === undefined)
  app.get("/readyz", ready)
  app.get("/health", ready)
  app.get("/version", ({ req }) => {
    front.deps.keys?.holderOf(req.raw.headers)
    return Response.json({ version: front.deps.version })
  })
  app.get("/metrics", () => {
    const { metricsText } = front.deps
    if (metricsText !== undefined) return metricsPage(metricsText())
    throw new UnknownRoute({ message: "/metrics is on the operators' port (listen.metrics puts it here as well)" })
  })
}

export const metricsPage = (text: string): Response =>
  new Response(text, { headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" } })

/** The cards of the models that who asks may use. Throws Unauthorized. */
const visibleCards = (front: Front, headers: Headers): ReadonlyArray<ModelCard> => {
  const { keys } = front.deps
  if (keys === undefined) return modelCards(front)
  const holder = keys.holderOf(headers)
  return modelCards(front).filter(({ id }) => holder.mayUse(id))
}

/** What the pods serve, and each alias and each name that the cluster rewrites as a copy of the card it stands for. */
const modelCards = (front: Front): ReadonlyArray<ModelCard> => {
  const cards = front.deps.pool.models()
  const { aliases, rewrites } = front.deps.options
  const rewritten = rewrites.names()
  if (aliases.size === 0 && rewritten.length === 0) return cards
  const byId = new Map(cards.map((card) => [card.id, card]))
  const add = (name: string, model: string): void => {
    const card = byId.get(model)
    if (card !== undefined && !byId.has(name)) byId.set(name, { ...card, id: name })
  }
  for (const name of rewritten) add(name, rewrites.targetOf(name, 0) ?? name)
  for (const [alias, model] of aliases) add(alias, model)
  return [...byId.values()]
}

/** 200 while a pod is healthy and the gateway is not stopping. */
export const readiness = (pool: PoolView, draining: boolean, showReasons: boolean): Response => {
  const pods = pool.pods()
  const healthy = pods.filter((pod) => pod.health === "healthy").length
  const reasons = draining ? ["the gateway is stopping"] : []
  if (pods.length === 0) reasons.push("no pod is known yet")
  else if (healthy === 0) {
    for (const pod of pods) {
      reasons.push(`${pod.address.id} is ${pod.health}${pod.reason === undefined ? "" : `: ${pod.reason}`}`)
    }
  }
  const counts = { healthy, known: pods.length }
  return reasons.length === 0
    ? Response.json({ status: "ready", pods: counts })
    : Response.json(
      { status: "not ready", pods: counts, ...(showReasons ? { reasons: reasons.slice(0, reasonsMax) } : {}) },
      { status: 503 }
    )
}

/** A fleet of a thousand sick pods need not be listed to a load balancer. */
const reasonsMax = 20
