import type { ActorOptions } from "./Behavior.ts"

/** Crashes of an actor that gets a message now and then: some a minute are lived with, further ones end it. */
export const seldomCrashing: Pick<ActorOptions, "restartsMax" | "restartWindowMs" | "backoffMinMs" | "backoffMaxMs"> = {
  restartsMax: 5,
  restartWindowMs: 60_000,
  backoffMinMs: 100,
  backoffMaxMs: 5000
}
