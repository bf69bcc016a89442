import { callbackFailedText, harmless } from "../core/harmless.ts"
import type { FrontMetrics } from "./FrontMetrics.ts"
import type { DecisionSink } from "./FrontOptions.ts"

/** Those who hear how requests fare. */
interface Ears {
  readonly metrics: FrontMetrics
  readonly decisionLog?: DecisionSink | undefined
  readonly log: (message: string, cause: unknown) => void
}

/** The same, where neither metrics nor the log of decisions can make a request fail; what they throw goes to the log. */
export const withHarmlessEars = <Deps extends Ears>(deps: Deps): Deps => {
  const { decisionLog: sink, log, metrics } = deps
  const failed = (name: string, times: number, cause: unknown): void => log(callbackFailedText(name, times), cause)
  const decisionLog = sink && {
    ...harmless({ samples: sink.samples, write: sink.write }, failed),
    // It changes with a reload.
    get blockHashes() {
      return sink.blockHashes
    }
  }
  return { ...deps, metrics: harmless(metrics, failed), decisionLog }
}
