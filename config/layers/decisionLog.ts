import { Effect, Runtime, type Scope } from "effect"
import { DecisionLog, type DecisionLogSettings } from "../../src/telemetry/DecisionLog.ts"
import type { GatewayConfig } from "../GatewayConfig.ts"

const FLUSH_EVERY_MS = 1_000
/** Decisions that wait for a flush: a second of them at four thousand a second. */
const PENDING_MAX = 4_096

/** The log of decisions, which writes to no file while no decision is sampled; what still waits is written at the end. */
export const makeDecisionLog = (
  { decisionLog }: GatewayConfig
): Effect.Effect<DecisionLog, never, Scope.Scope> =>
  Effect.gen(function*() {
    const runtime = yield* Effect.runtime()
    const warn = (message: string) => void Runtime.runFork(runtime)(Effect.logWarning(message))
    const log = new DecisionLog({
      ...decisionLogSettings(decisionLog),
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

export const decisionLogSettings = (
  { blockHashes, bytesMax, path, sampleRate }: GatewayConfig["decisionLog"]
): DecisionLogSettings => ({ path, sampleRate, blockHashes, bytesMax })
