import { Either } from "effect"
import { runPolicy } from "../../src/simulator/runPolicy.ts"
import type { PlannedRequest, Stage } from "../../src/simulator/Workload.ts"
import { PODS, scaledConstants, scaledPolicy, SCRAPE_MS } from "./scale.ts"
import type { BenchStage } from "./stages.ts"
import { type Answered, type StageResult, stageResult } from "./StageResult.ts"

/** Between two stages, unscaled; nothing happens then. */
const PAUSE_S = 30

/**
 * The simulator's word for the same run: the same requests at the same times, everything as much faster as the pods
 * are, `pathS` real seconds between the client and the engine. A result a stage, the warm-up's too.
 */
export const predicted = (
  stages: ReadonlyArray<BenchStage>,
  policy: string,
  speed: number,
  pathS: number
): ReadonlyArray<StageResult> => {
  const answers: ReadonlyArray<Array<Answered>> = stages.map(() => [])
  const run = runPolicy({
    workload: {
      name: "headline",
      pauseS: PAUSE_S / speed,
      stages: stages.map(({ requests }) => (): Stage => ({
        arrivals: faster(requests, speed),
        warmUpS: 0,
        lastAskS: undefined
      }))
    },
    policy: scaledPolicy(policy, speed),
    seed: 1,
    pods: PODS,
    constants: scaledConstants(speed),
    path: { toPodS: pathS, fromPodS: 0, scrapeIntervalS: SCRAPE_MS / 1000, scrapeAgeS: 0.002 },
    onMeasured: (request) =>
      answers[request.stage]?.push({
        ...request,
        arrivedS: request.arrivedS * speed,
        ttftS: request.ttftS * speed,
        endS: request.endS * speed
      })
  })
  if (Either.isLeft(run)) throw new Error(run.left)
  return answers.map(stageResult)
}

const faster = function*(requests: ReadonlyArray<PlannedRequest>, speed: number): Generator<PlannedRequest> {
  for (const request of requests) yield { ...request, afterS: request.afterS / speed }
}
