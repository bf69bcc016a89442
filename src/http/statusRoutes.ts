import type { Context, Hono } from "hono"
import type { ModelCard } from "../../actors/PoolView.ts"
import { UnknownModel } from "../errors.ts"
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
  const { deps } = front
  app.get("/v1/models", () => Response.json({ object: "list", data: modelCards(front) }))
  app.get("/v1/models/:id{.+}", (context) => {
    const id = context.req.param("id")
    const card = modelCards(front).find((card) => card.id === id)
    if (card !== undefined) return Response.json(card)
    return errorResponse(
      new UnknownModel({ message: `no pod serves a model "${id}"`, param: "model" }),
      undefined,
      false
    )
  })
  app.get("/livez", () => new Response("ok\n"))
  app.get("/readyz", (context) => readiness(context, front))
  app.get("/health", (context) => readiness(context, front))
  app.get("/version", () => Response.json({ version: deps.version }))
  app.get(
    "/metrics",
    () => new Response(deps.metricsText(), { headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" } })
  )
}

/** What the pods serve, and each alias as a copy of the card it stands for. */
const modelCards = (front: Front): ReadonlyArray<ModelCard> => {
  const cards = front.deps.pool.models()
  const { aliases } = front.deps.options
  if (aliases.size === 0) return cards
  const byId = new Map(cards.map((card) => [card.id, card]))
  const result = [...cards]
  for (const [alias, model] of aliases) {
    const card = byId.get(model)
    if (card !== undefined && !byId.has(alias)) result.push({ ...card, id: alias })
  }
  return result
}

const readiness = (context: Context, front: Front): Response => {
  const pods = front.deps.pool.pods()
  const healthy = pods.filter((pod) => pod.health === "healthy").length
  const reasons = front.draining ? ["the gateway is stopping"] : []
  if (pods.length === 0) reasons.push("no pod is known yet")
  else if (healthy === 0) {
    for (const pod of pods) {
      reasons.push(`${pod.address.id} is ${pod.health}${pod.reason === undefined ? "" : `: ${pod.reason}`}`)
    }
  }
  const counts = { healthy, known: pods.length }
  return reasons.length === 0
    ? context.json({ status: "ready", pods: counts })
    : context.json({ status: "not ready", pods: counts, reasons: reasons.slice(0, reasonsMax) }, 503)
}

/** A fleet of a thousand sick pods need not be listed to a load balancer. */
const reasonsMax = 20
