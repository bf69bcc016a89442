import { Effect } from "effect"
import type { ExtProcServer } from "../../src/extproc/serveExtProc.ts"
import type { FrontServer } from "../../src/http/serveFront.ts"

/** Clients have this long to end; what was left is in the log. */
export const stopFront = (front: Pick<FrontServer, "stop">, graceMs: number): Effect.Effect<void> =>
  Effect.gen(function*() {
    const { broken, ended } = yield* Effect.promise(() => front.stop(graceMs))
    if (ended > 0) {
      yield* Effect.logWarning(`${requests(ended)} could not end in time and got the error gateway_stopping`)
    }
    if (broken > 0) yield* Effect.logWarning(`${requests(broken)} broke: their clients did not take their answers`)
  })

/** The same for Envoy's calls. */
export const stopPicker = (
  picker: Pick<ExtProcServer, "stop"> | undefined,
  graceMs: number
): Effect.Effect<void> =>
  Effect.gen(function*() {
    const ended = picker === undefined ? 0 : yield* Effect.promise(() => picker.stop(graceMs))
    if (ended > 0) {
      yield* Effect.logWarning(`${requests(ended)} of Envoy's could not end in time and went on without us`)
    }
  })

/** Both at once. */
export const stopListening = (
  front: Pick<FrontServer, "stop">,
  picker: Pick<ExtProcServer, "stop"> | undefined,
  graceMs: number
): Effect.Effect<void> =>
  Effect.all([stopFront(front, graceMs), stopPicker(picker, graceMs)], { concurrency: 2, discard: true })

const requests = (count: number): string => count === 1 ? "1 request" : `${count} requests`
