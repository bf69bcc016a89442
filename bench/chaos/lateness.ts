/** A process should have run then and did not, or was busy with one thing. Milliseconds of `benchMs`. */
export interface Lateness {
  readonly startMs: number
  readonly endMs: number
}

const TICK_MS = 5
/** Shorter ones are the event loop's own work. */
const LEAST_MS = 10

/** The one clock of client and pods. */
export const benchMs = (): number => performance.timeOrigin + performance.now()

/** Tells of each time by which a timer of this process fires late. Call what it returns to end it. */
export const watchLateness = (tell: (late: Lateness) => void): () => void => {
  let lastMs = benchMs()
  const timer = setInterval(() => {
    const endMs = benchMs()
    const startMs = lastMs + TICK_MS
    lastMs = endMs
    if (endMs - startMs > LEAST_MS) tell({ startMs, endMs })
  }, TICK_MS)
  return () => clearInterval(timer)
}
