/** A callback that threw: its name, and how often it has done so. */
export type CallbackFailed = (name: string, times: number, cause: unknown) => void

type Callback = (...values: ReadonlyArray<never>) => unknown

/**
 * The same callbacks, none of which throws: whoever only wants to hear what happened (metrics, logs) must not keep it
 * from happening. One that throws returns undefined. `failed` hears of the 1st, 10th, 100th … time of each.
 */
export const harmless = <Callbacks extends { readonly [Name in keyof Callbacks]: Callback }>(
  callbacks: Callbacks,
  failed: CallbackFailed
): Callbacks => {
  const failures = new Map<string, number>()
  const guarded = Object.entries<Callback>(callbacks).map(([name, callback]) => [
    name,
    (...values: ReadonlyArray<never>): unknown => {
      try {
        return callback(...values)
      } catch (cause) {
        const times = (failures.get(name) ?? 0) + 1
        failures.set(name, times)
        if (Number.isInteger(Math.log10(times))) failed(name, times, cause)
        return undefined
      }
    }
  ])
  return Object.fromEntries(guarded) as Callbacks
}

/** A line for the log. */
export const callbackFailedText = (name: string, times: number): string =>
  `what only counts and logs failed by a defect of the gateway (${name}${times === 1 ? "" : `, ${times} times so far`})`
