import { Either } from "effect"
import { defaultPath, runPolicy } from "../../simulator/runPolicy.ts"
import type { Workload } from "../../simulator/Workload.ts"
import { workloadMaker } from "../workloadChoice.ts"
import type { PlanJob, PlanReply, PlanRequest, PlanWorld } from "./planMessages.ts"

declare const self: Worker

const answer = (reply: PlanReply): void => self.postMessage(reply)

const simulate = (world: PlanWorld, makeWorkload: () => Workload, { policy, pods }: PlanJob): PlanReply => {
  const { constants, slo, source } = world
  const run = runPolicy({
    workload: makeWorkload(),
    policy: { type: policy },
    seed: source.options.seed,
    pods,
    constants,
    path: defaultPath,
    slo,
    progress: (ended) => answer({ _tag: "progress", ended })
  })
  return Either.match(run, {
    onLeft: (fault): PlanReply => ({ _tag: "failed", fault }),
    onRight: (summary): PlanReply => ({ _tag: "done", summary })
  })
}

/** Serves one plan: the world comes first and is read once. */
const serve = () => {
  let opened: { readonly world: PlanWorld; readonly make: ReturnType<typeof workloadMaker> } | undefined
  return ({ data }: MessageEvent<PlanRequest>): void => {
    if (data._tag === "open") {
      opened = { world: data.world, make: workloadMaker(data.world.source) }
    } else if (opened !== undefined) {
      const { make, world } = opened
      answer(Either.isLeft(make) ? { _tag: "failed", fault: make.left } : simulate(world, make.right, data.job))
    }
  }
}

self.addEventListener("message", serve())
