import { Cause, Clock, Effect, Exit, Option } from "effect"
import type { ActorOptions, Behavior, Message } from "./Behavior.ts"
import { secondsText } from "../../src/core/counted.ts"
import type { ActorCore } from "./ActorCore.ts"
import { ActorWatch } from "./ActorWatch.ts"
import { RestartBudget } from "./RestartBudget.ts"
import type { Timers } from "./Timers.ts"

const BY_ORDER = "it was told to stop"

/**
 * The actor's one fiber: starts it, handles messages, restarts it after crashes until it is told to stop or the
 * budget is spent, and returns which. To be run uninterruptible; `closing` ends when a stop is ordered.
 */
export const actorLife = <State, M extends Message, R>(
  behavior: Behavior<State, M, R>,
  options: ActorOptions,
  core: ActorCore<State, M>,
  closing: Effect.Effect<void>,
  timers: Timers
): Effect.Effect<string, never, R> =>
  Effect.gen(function*() {
    const budget = new RestartBudget(options)
    const first = yield* attempt(behavior.init)
    const state = Exit.isSuccess(first)
      ? { value: first.value }
      : yield* restarted(budget, options, closing, first.cause, () => behavior.init)
    if (state === undefined) return core.closed ? BY_ORDER : spentReason(options)
    while (!core.closed) {
      const turn = yield* core.serve(behavior.receive, state)
      if (core.reservedOverflows > core.overflowsLogged) {
        core.overflowsLogged = core.reservedOverflows
        yield* Effect.logError(
          `actor ${options.name}: its reserved room (${options.reservedCapacity}) is too small; messages lost so far: ${core.overflowsLogged}`
        )
      }
      if (turn === "idle") continue
      if (turn === "breathe") yield* breathe(timers)
      else {
        const handled: Exit.Exit<State> = turn === "crashed" ? Exit.die(core.thrown) : yield* attempt(turn)
        if (Exit.isSuccess(handled)) {
          state.value = handled.value
          continue
        }
        // A stop that could wait no longer interrupted the message in hand.
        if (core.closed && Cause.isInterruptedOnly(handled.cause)) break
        core.failInHand(Cause.squash(handled.cause))
        const lastGood = state.value
        const next = yield* restarted(budget, options, closing, handled.cause, (cause) =>
          behavior.recover === undefined ? Effect.succeed(lastGood) : behavior.recover(lastGood, cause))
        if (next !== undefined) {
          state.value = next.value
        } else if (!core.closed) {
          return spentReason(options)
        }
      }
    }
    core.failWaiting()
    if (behavior.stopped !== undefined) {
      const stopped = behavior.stopped
      const end = yield* attempt(Effect.suspend(() =>
        stopped(state.value)
      ))
      if (Exit.isFailure(end)) {
        yield* Effect.logError(`actor ${options.name} crashed while stopping`, end.cause)
      }
    }
    return BY_ORDER
  })

/** The state to go on with; undefined when the budget is spent or a stop was ordered meanwhile. */
const restarted = <State, R>(
  budget: RestartBudget,
  options: ActorOptions,
  closing: Effect.Effect<void>,
  crash: Cause.Cause<never>,
  restore: (cause: unknown) => Effect.Effect<State, never, R>
): Effect.Effect<{ value: State } | undefined, never, R> =>
  Effect.gen(function*() {
    let cause = crash
    const watch = Option.getOrUndefined(yield* Effect.serviceOption(ActorWatch))
    while (true) {
      watch?.crashed(options.name)
      const backoffMs = budget.crashed(yield* Clock.currentTimeMillis)
      if (backoffMs === undefined) {
        yield* Effect.logError(`actor ${options.name} crashed and stays down: ${spentReason(options)}`, cause)
        return undefined
      }
      yield* Effect.logError(`actor ${options.name} crashed; restarts in ${backoffMs} ms`, cause)
      const ordered = yield* Effect.raceFirst(
        Effect.interruptible(Effect.as(Effect.sleep(backoffMs), false)),
        Effect.interruptible(Effect.as(closing, true))
      )
      if (ordered) return undefined
      const squashed = Cause.squash(cause)
      const exit = yield* attempt(Effect.suspend(() => restore(squashed)))
      if (Exit.isSuccess(exit)) return { value: exit.value }
      cause = exit.cause
    }
  })

const attempt = <A, R>(effect: Effect.Effect<A, never, R>) => Effect.exit(Effect.interruptible(effect))

const spentReason = (options: ActorOptions): string =>
  `it crashed more than ${options.restartsMax} times in ${secondsText(options.restartWindowMs)}`

const breathe = ({ soon }: Timers) => Effect.async<void>((resume) => soon(() => resume(Effect.void)))
