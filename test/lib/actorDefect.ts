import { ActorCore } from "../../actors/runtime/ActorCore.ts"

type Serve = typeof ActorCore.prototype.serve

const actor = process.env["CRASHING_ACTOR"]
const serve: Serve = Reflect.get(ActorCore.prototype, "serve")

const listsSeveral = (message: unknown): boolean =>
  Array.isArray((message as { addresses?: unknown }).addresses) &&
  (message as { addresses: unknown[] }).addresses.length > 1

/** To be loaded before a gateway: a list of more than one pod crashes the actor of this name. */
const withDefect: Serve = function(this: ActorCore<unknown, unknown>, receive, state) {
  return serve.call(
    this,
    (last, message) => {
      if (this.name === actor && listsSeveral(message)) throw new Error("a defect of the test's")
      return receive(last as never, message as never) as never
    },
    state
  ) as never
}
ActorCore.prototype.serve = withDefect
