import { appendFile, rename, stat } from "node:fs/promises"

/** One line of the log. Never holds a word of a prompt. */
export interface DecisionEntry {
  readonly requestId: string
  readonly model: string
  readonly policy: string
  readonly pod: string
  readonly promptTokens: number
  readonly hitTokens: number
  readonly predictedTtftMs: number
  /** From the pick to the first token; undefined unless the answer streamed. */
  readonly observedTtftMs: number | undefined
  readonly outcome: "finished" | "failed" | "aborted"
  readonly outputTokens: number | undefined
}

export interface DecisionLogOptions {
  readonly path: string
  /** Share of the decisions that are written, 0 to 1. */
  readonly sampleRate: number
  /** A file that would grow above this becomes `path.1`, in the place of the one that had that name. */
  readonly bytesMax: number
  /** Entries that wait for the next flush; further ones are lost. */
  readonly pendingMax: number
  readonly random: () => number
  /** Wall clock. */
  readonly nowMs: () => number
  /** Told once when writing begins to fail, and again only after it has worked. */
  readonly warn: (message: string) => void
}

/** Names come from clients. */
const NAME_CHARS_MAX = 200

/** A sampled log of decisions as JSON lines, written in batches. Writing never throws: a full disk is one warning. */
export class DecisionLog {
  private readonly options: DecisionLogOptions
  private pending: Array<readonly [atMs: number, entry: DecisionEntry]> = []
  private fileBytes = -1
  private failing = false
  private flushing: Promise<void> = Promise.resolve()

  constructor(options: DecisionLogOptions) {
    this.options = options
  }

  /** Whether the next decision is to be written; asked first, so that the others cost nothing. */
  readonly samples = (): boolean => this.options.random() < this.options.sampleRate

  readonly write = (entry: DecisionEntry): void => {
    if (this.pending.length < this.options.pendingMax) this.pending.push([this.options.nowMs(), entry])
  }

  /** Appends what waits, after the flush before. Never rejects. */
  flush(): Promise<void> {
    this.flushing = this.flushing.then(() => this.append())
    return this.flushing
  }

  private async append(): Promise<void> {
    if (this.pending.length === 0) return
    const lines = this.pending.map(([atMs, entry]) => lineOf(atMs, entry))
    this.pending = []
    try {
      if (this.fileBytes < 0) this.fileBytes = await sizeOf(this.options.path)
      await this.appendLines(lines)
      this.failing = false
    } catch (cause) {
      this.fileBytes = -1
      const why = cause instanceof Error ? cause.message : String(cause)
      if (!this.failing) this.options.warn(`decisions are not logged until ${this.options.path} can be written: ${why}`)
      this.failing = true
    }
  }

  private async appendLines(lines: ReadonlyArray<string>): Promise<void> {
    const { bytesMax, path } = this.options
    let text = ""
    let textBytes = 0
    for (const line of lines) {
      const bytes = Buffer.byteLength(line)
      const total = this.fileBytes + textBytes
      if (total > 0 && total + bytes > bytesMax) {
        if (textBytes > 0) await appendFile(path, text)
        await rename(path, `${path}.1`)
        this.fileBytes = 0
        text = ""
        textBytes = 0
      }
      text += line
      textBytes += bytes
    }
    await appendFile(path, text)
    this.fileBytes += textBytes
  }
}

const sizeOf = async (path: string): Promise<number> => {
  try {
    return (await stat(path)).size
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return 0
    throw cause
  }
}

const lineOf = (atMs: number, entry: DecisionEntry): string =>
  `${
    JSON.stringify({
      time: new Date(atMs).toISOString(),
      requestId: entry.requestId.slice(0, NAME_CHARS_MAX),
      model: entry.model.slice(0, NAME_CHARS_MAX),
      promptTokens: entry.promptTokens,
      hitTokens: Math.round(entry.hitTokens),
      policy: entry.policy,
      pod: entry.pod,
      predictedTtftMs: thousandths(entry.predictedTtftMs),
      observedTtftMs: thousandths(entry.observedTtftMs),
      outcome: entry.outcome,
      outputTokens: entry.outputTokens ?? null
    })
  }\n`

const thousandths = (value: number | undefined): number | null =>
  value === undefined || !Number.isFinite(value) ? null : Math.round(value * 1000) / 1000
