/** One answered request of a stage, in unscaled seconds. */
export interface Answered {
  readonly arrivedS: number
  readonly ttftS: number
  readonly endS: number
  readonly promptTokens: number
  readonly cachedTokens: number
  readonly outputTokens: number
}

/** What a stage comes down to. Seconds, unscaled. */
export interface StageResult {
  readonly requests: number
  readonly ttftMean: number
  readonly ttftP50: number
  readonly ttftP90: number
  /** From the first arrival to the last token. */
  readonly outputTokensPerSecond: number
  readonly hitRatio: number
}

export const stageResult = (answers: ReadonlyArray<Answered>): StageResult => {
  const ttft = answers.map(({ ttftS }) => ttftS).sort((one, other) => one - other)
  const sum = (of: (answer: Answered) => number) => answers.reduce((total, answer) => total + of(answer), 0)
  const firstS = Math.min(...answers.map(({ arrivedS }) => arrivedS))
  const lastS = Math.max(...answers.map(({ endS }) => endS))
  const quantile = (share: number) => ttft[Math.max(0, Math.ceil(share * ttft.length) - 1)] ?? 0
  return {
    requests: answers.length,
    ttftMean: sum(({ ttftS }) => ttftS) / answers.length,
    ttftP50: quantile(0.5),
    ttftP90: quantile(0.9),
    outputTokensPerSecond: sum(({ outputTokens }) => outputTokens) / (lastS - firstS),
    hitRatio: sum(({ cachedTokens }) => cachedTokens) / sum(({ promptTokens }) => promptTokens)
  }
}
