import { Effect, type Scope } from "effect"

/**
 * Listens for SIGHUP from now on, since without a listener it ends the process. The function inside says what a SIGHUP
 * does from then on; those before it do nothing.
 */
export const reloadSignal: Effect.Effect<(reload: () => void) => void, never, Scope.Scope> = Effect.gen(function*() {
  let act = (): void => {}
  const onSignal = (): void => act()
  yield* Effect.acquireRelease(
    Effect.sync(() => process.on("SIGHUP", onSignal)),
    () =>
      Effect.sync(() => {
        act = () => {}
      })
  )
  return (reload) => {
    act = reload
  }
})
