import { type PodAddress, podUrl } from "../../core/Pod.ts"
import type { PodMetrics } from "../MetricsText.ts"
import { makePodProbe } from "../PodProbe.ts"
import { CalibrationProblem } from "./CalibrationProblem.ts"
import type { PodLimits } from "./points.ts"

/** A pod that can be measured. */
export interface OpenPod {
  readonly model: string
  readonly limits: PodLimits
  /** Before the first request. */
  readonly metrics: PodMetrics
}

interface OpenOptions {
  readonly address: PodAddress
  readonly model: string | undefined
  readonly force: boolean
  readonly signal: AbortSignal
}

const TIMEOUT_MS = 5000
/** A pod that has just ended its work may still say that it has some. */
const BUSY_FOR_MS = 2000
const LOOK_MS = 100
/** Assumed of a pod that does not say. */
const MAX_MODEL_LEN = 4096

/** Asks what the pod serves and whether it is idle. Rejects with CalibrationProblem. */
export const openPod = async (options: OpenOptions): Promise<OpenPod> => {
  const url = podUrl(options.address)
  const probe = makePodProbe()
  const unanswered = (error: unknown): never => {
    const why = error instanceof Error ? error.message : String(error)
    throw new CalibrationProblem({ why: `${url} does not answer as a vLLM pod: ${why}` })
  }
  const models = await probe.models(options.address, TIMEOUT_MS).catch(unanswered)
  const card = options.model === undefined
    ? models.find(({ parent }) => parent === null || parent === undefined) ?? models[0]
    : models.find(({ id }) => id === options.model)
  if (card === undefined) {
    throw new CalibrationProblem({
      why: options.model === undefined
        ? `${url} serves no model`
        : `${url} does not serve "${options.model}"; it serves: ${models.map(({ id }) => id).join(", ")}`
    })
  }
  const metrics = await idleMetrics(options).catch((error: unknown) =>
    error instanceof CalibrationProblem ? Promise.reject(error) : unanswered(error)
  )
  const lengthOf = (value: unknown): number | undefined => typeof value === "number" && value > 0 ? value : undefined
  const maxModelLen = lengthOf(card["max_model_len"]) ??
    models.map((each) => lengthOf(each["max_model_len"])).find((length) => length !== undefined) ?? MAX_MODEL_LEN
  const { blockSizeTokens, gpuBlocks } = metrics
  const kvCapacityTokens = blockSizeTokens === undefined || gpuBlocks === undefined
    ? undefined
    : blockSizeTokens * gpuBlocks
  return { model: card.id, limits: { maxModelLen, kvCapacityTokens }, metrics }
}

const idleMetrics = async ({ address, force, signal }: OpenOptions): Promise<PodMetrics> => {
  const untilMs = performance.now() + BUSY_FOR_MS
  for (;;) {
    const metrics = await makePodProbe().metrics(address, TIMEOUT_MS)
    const { awake, running, waiting } = metrics
    if (!awake) throw new CalibrationProblem({ why: `${podUrl(address)} sleeps; wake it up first` })
    if (force || running + waiting === 0) return metrics
    if (performance.now() > untilMs) {
      throw new CalibrationProblem({
        why: `${podUrl(address)} is busy (${running} running, ${waiting} waiting): its times would be wrong. ` +
          "Take its traffic away first, or measure all the same with --force"
      })
    }
    signal.throwIfAborted()
    await Bun.sleep(LOOK_MS)
  }
}
