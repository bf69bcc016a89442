import { AskTimes } from "../AskTimes.ts"
import type { BlockChain } from "../BlockChain.ts"

export interface ReuseAgesOptions {
  /** Blocks that are followed; one that was asked for long ago goes first. */
  readonly samplesMax: number
  /** What was seen counts half after this time. */
  readonly halfLifeS: number
}

/** Ages fall into bins that grow by the square root of two, from a sixteenth of a second on. */
const BINS = 48
const FIRST_BIN_S = 1 / 16
/** Of a prompt one block in this many is followed. A block has one position for good, so all its uses are seen. */
const SAMPLING = 64
/** The chances are worked out again so often. */
const REFRESH_EVERY_S = 1

/**
 * How likely a KV block that was not used for some time is asked for again. Follows a sample of all blocks that prompts
 * have, whichever pod has them and whether it still does, so that evictions don't hide what would have been used.
 */
export class ReuseAges {
  private readonly options: ReuseAgesOptions
  /** By hash. */
  private readonly lastAskedS: AskTimes
  private readonly reuses = new Float64Array(BINS)
  private asks = 0
  private decayedAtS = 0
  private readonly chances = new Float64Array(BINS)
  private chancesAtS = Number.NEGATIVE_INFINITY

  constructor(options: ReuseAgesOptions) {
    this.options = options
    this.lastAskedS = new AskTimes(options.samplesMax)
  }

  /** A prompt with these blocks was placed. */
  asked(chain: BlockChain, nowS: number): void {
    const { length, low } = chain
    // Half of the hash tells a few ten thousand blocks apart well enough.
    for (let i = 0; i < length; i += SAMPLING) this.blockAsked((low[i] ?? 0) | 0, nowS)
  }

  /** Chance that a block which was last used `ageS` ago is asked for again. */
  chance(ageS: number, nowS: number): number {
    if (nowS - this.chancesAtS >= REFRESH_EVERY_S) this.refresh(nowS)
    return this.chances[binOf(ageS)] ?? 0
  }

  private blockAsked(key: number, nowS: number): void {
    const { reuses } = this
    const beforeS = this.lastAskedS.exchange(key, nowS)
    if (beforeS !== Number.NEGATIVE_INFINITY) {
      const bin = binOf(nowS - beforeS)
      reuses[bin] = (reuses[bin] ?? 0) + 1
    }
    this.asks++
  }

  /** Of the blocks that reach an age, those that are used later: all asks but the ones that came before it. */
  private refresh(nowS: number): void {
    const { chances, reuses } = this
    const kept = 0.5 ** ((nowS - this.decayedAtS) / this.options.halfLifeS)
    this.decayedAtS = nowS
    this.chancesAtS = nowS
    this.asks *= kept
    let again = 0
    for (let bin = 0; bin < BINS; bin++) {
      const count = (reuses[bin] ?? 0) * kept
      reuses[bin] = count
      again += count
    }
    const never = Math.max(0, this.asks - again)
    let later = 0
    for (let bin = BINS - 1; bin >= 0; bin--) {
      const count = reuses[bin] ?? 0
      const fromMiddle = later + count / 2
      chances[bin] = fromMiddle === 0 ? 0 : fromMiddle / (fromMiddle + never)
      later += count
    }
  }
}

const binOf = (ageS: number): number => Math.max(0, Math.min(BINS - 1, Math.floor(2 * Math.log2(ageS / FIRST_BIN_S))))
