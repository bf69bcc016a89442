import { Effect, Runtime, type Scope } from "effect"
import { DecisionLog } from "../../src/telemetry/DecisionLog.ts"
import type { GatewayConfig } from "../GatewayConfig.ts"

const FLUSH_EVERY_MS = 1_000
/** Decisions that wait for a flush: a second of them at four thousand a second. */
const PENDING_MAX = 4_096

/** The log that the configuration asks for, if any; what still waits is written when the scope closes. */
export const makeDecisionLog = (
  { blockHashes, bytesMax, path, sampleRate }: GatewayConfig["decisionLog"]
): Effect.Effect<DecisionLog | undefined, never, Scope.Scope> =>
  Effect.gen(function*() {
    if (sampleRate === 0) return undefined
    const runtime = yield* Effect.runtime()
    const warn = (message: string) => void Runtime.runFork(runtime)(Effect.logWarning(message))
    const log = new DecisionLog({
      path,
      sampleRate,
      blockHashes,
      bytesMax,
      pendingMax: PENDING_MAX,
      random: Math.random,
      nowMs: Date.now,
      warn
    })
    yield* Effect.acquireRelease(
      Effect.sync(() => setInterval(() => void log.flush(), FLUSH_EVERY_MS)),
      (timer) => Effect.zipRight(Effect.sync(() => clearInterval(timer)), Effect.promise(() => log.flush()))
    )
    return log
  })
