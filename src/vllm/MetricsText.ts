/** What one scrape of a pod says, summed over its data-parallel ranks. */
export interface PodMetrics {
  /** Requests in the running batch. */
  readonly running: number
  /** Requests queued inside the engine, whatever the reason. */
  readonly waiting: number
  /** Share of the KV blocks in use, in [0, 1]; ranks weigh by their blocks. */
  readonly kvUsage: number
  readonly blockSizeTokens?: number | undefined
  /** KV blocks of all ranks together. */
  readonly gpuBlocks?: number | undefined
  /** Unix time; a change means that the pod restarted. */
  readonly processStartS?: number | undefined
  readonly promptTokensTotal?: number | undefined
  readonly generationTokensTotal?: number | undefined
  /** Prompt tokens looked up in the prefix cache, and those found. */
  readonly prefixQueriesTotal?: number | undefined
  readonly prefixHitsTotal?: number | undefined
  /** False while any rank sleeps. */
  readonly awake: boolean
}
