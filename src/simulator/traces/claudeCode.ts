import { SeededRandom } from "../SeededRandom.ts"
import type { PlannedRequest, Workload, WorkloadOptions } from "../Workload.ts"
import { poisson } from "../workloads/arrivals.ts"
import { blocksOf } from "./hashBlocks.ts"
import { type JsonLine, jsonLines } from "./jsonLine.ts"

/** The next prompt repeats the answer in blocks of its own, so answers are never found again under these ids. */
const ANSWER_IDS = 2 ** 48
/** A session that goes beyond is cut there: few pods serve more. */
const CONTEXT_TOKENS_MAX = 200_000
/** People go for lunch; the cache does not care whether it was for one minute or sixty. */
const THINK_MAX_S = 60
const SESSION_IDS = 2 ** 32

interface RecordedTurn {
  readonly ids: Uint32Array
  readonly promptTokens: number
  readonly outputTokens: number
  readonly thinkS: number
}

interface RecordedSession {
  readonly blockTokens: number
  readonly turns: ReadonlyArray<RecordedTurn>
}

/**
 * Sessions of a coding agent: a line has `block_size` and `requests` with `in`, `out`, `hash_ids` and `think_time`.
 * Played as a closed loop, each request `think_time` (at most 60 s) after the answer before; sub-agents are left out.
 * Sessions start as a Poisson process in shuffled order, `load` a minute, and stop asking after `durationS`.
 * Source: the format of WEKA's anonymised Claude Code traces. Throws TraceError.
 */
export const readClaudeCode = (text: string): (options: WorkloadOptions) => Workload => {
  const sessions: Array<RecordedSession> = []
  for (const line of jsonLines(text)) {
    const turns = turnsOf(line)
    if (turns.length > 0) sessions.push({ blockTokens: line.number("block_size", 1), turns })
  }
  return ({ durationS = 1200, load, seed }) => {
    const random = new SeededRandom(seed)
    const order = sessions.map((_, index) => index)
    random.fork(0).shuffle(order)
    let started = 0
    const start = (afterS: number): PlannedRequest => {
      const play = started++
      return playSession(sessions[order[play % order.length]!]!, play, 0, afterS)
    }
    return {
      name: "claude-code",
      pauseS: 0,
      stages: sessions.length === 0 ? [] : [() => ({
        arrivals: poisson(random.fork(1), load / 60, durationS, start),
        warmUpS: durationS / 3,
        lastAskS: durationS
      })]
    }
  }
}

const turnsOf = (session: JsonLine): ReadonlyArray<RecordedTurn> => {
  const turns: Array<RecordedTurn> = []
  for (const request of session.list("requests")) {
    if (!request.has("hash_ids")) continue
    const promptTokens = request.number("in", 0)
    if (promptTokens > CONTEXT_TOKENS_MAX) break
    if (promptTokens === 0) continue
    turns.push({
      ids: request.ids("hash_ids"),
      promptTokens,
      outputTokens: Math.max(1, request.number("out", 0)),
      thinkS: Math.min(THINK_MAX_S, request.numberOr("think_time", 0, 0))
    })
  }
  return turns
}

const playSession = (session: RecordedSession, play: number, index: number, afterS: number): PlannedRequest => {
  const { ids, outputTokens, promptTokens } = session.turns[index]!
  const following = session.turns[index + 1]
  return {
    afterS,
    prompt: blocksOf(ids, promptTokens, session.blockTokens, play * SESSION_IDS),
    output: { id: ANSWER_IDS + play * 100_000 + index, tokens: outputTokens },
    outputTokensMax: undefined,
    sessionHash: play + 1,
    next: following === undefined ? undefined : () => playSession(session, play, index + 1, following.thinkS)
  }
}
