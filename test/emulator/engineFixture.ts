import type { BlockChain } from "../../src/core/BlockChain.ts"
import type { EngineConstants } from "../../src/core/EngineConstants.ts"
import { EngineModel } from "../../src/emulator/engine/EngineModel.ts"
import type { EngineRequest } from "../../src/emulator/engine/EngineRequest.ts"
import { tokenChain } from "../../src/emulator/engine/tokenChain.ts"

/** Round numbers, so that a test can work out a step's time by hand. */
export const roundConstants: EngineConstants = {
  prefillTokenS: 0.001,
  attentionPairS: 0,
  weightReadS: 0.01,
  stepFixedS: 0.002,
  decodeRequestS: 0,
  contextTokenS: 0,
  batchedTokensMax: 64,
  kvCapacityTokens: 1040
}

export const blockSizeTokens = 16

export const engineOf = (options: Partial<EngineConstants> = {}, maxNumSeqs = 256) =>
  new EngineModel<string>({
    constants: { ...roundConstants, ...options },
    blockSizeTokens,
    maxNumSeqs,
    maxModelLen: 4096
  })

/** Token ids `start`, `start + 1`, … : equal starts share a prefix. */
export const tokensFrom = (start: number, count: number): Array<number> =>
  Array.from({ length: count }, (_, index) => start + index)

/** `promptTokens` counted from `start`, followed by the output in the same sequence. */
export const requestOf = (owner: string, start: number, promptTokens: number, outputTokens: number) => ({
  owner,
  promptTokens,
  outputTokens,
  chain: tokenChain(tokensFrom(start, promptTokens + outputTokens), blockSizeTokens, 1)
})

export const noChain: BlockChain = tokenChain([], blockSizeTokens, 0)

export interface EngineEvent {
  readonly kind: "first" | "finished" | "preempted"
  readonly owner: string
  readonly atS: number
}

/** Runs until nothing is left to do; `single` uses one step a call. */
export const drain = (engine: EngineModel<string>, nowS = 0, single = false): Array<EngineEvent> => {
  const events: Array<EngineEvent> = []
  let timeS = nowS
  for (let calls = 0; engine.hasWork; calls++) {
    if (calls > 100_000) throw new Error("the engine makes no progress")
    const outcome = single ? engine.step(timeS) : engine.stepMany(timeS, Infinity)
    timeS = outcome.endS
    const add = (kind: EngineEvent["kind"], requests: ReadonlyArray<EngineRequest<string>>) => {
      for (const request of requests) events.push({ kind, owner: request.owner, atS: timeS })
    }
    add("preempted", outcome.preempted)
    add("first", outcome.firstTokens)
    add("finished", outcome.finished)
  }
  return events
}
