import type { PickContext } from "../../core/Policy.ts"
import { keepRows } from "../keepRows.ts"
import type { Filter } from "../Plugin.ts"
import { SessionConfig, SessionPods } from "../SessionPods.ts"

export const type = "session-affinity-filter"

export const Config = SessionConfig

/** Keeps a session's pod alone while it can take requests, else all pods. Source: llm-d session-affinity-filter. */
export const make = (config: SessionConfig): Filter => {
  const sessions = new SessionPods(config)
  const filter = (context: PickContext): void => {
    const own = sessions.rowOf(context)
    if (own >= 0) keepRows(context, (row) => row === own)
  }
  return Object.assign(filter, { placed: (context: PickContext, row: number) => sessions.placed(context, row) })
}
