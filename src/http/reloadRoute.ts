import type { Hono } from "hono"
import { MethodNotAllowed } from "../errors.ts"
import { errorResponse } from "./errors.ts"

/** Where an operator has the configuration read again. */
export const reloadPath = "/warmroute/reload"

/** Rejects with BadConfiguration; else a JSON value that says what has changed. */
export type Reload = () => Promise<unknown>

/** `POST /warmroute/reload`, for the operators' port. */
export const addReloadRoute = (app: Hono, reload: Reload): void => {
  app.post(reloadPath, async (context) => context.json(await reload()))
  app.all(reloadPath, ({ req }) => {
    const message = `${reloadPath} does not take ${req.method}`
    const response = errorResponse(new MethodNotAllowed({ message }), undefined, false)
    response.headers.set("allow", "POST")
    return response
  })
}
