import { appendFile, rename, stat } from "node:fs/promises"

/** A prompt as a replay knows it: which prefixes it shares with others, and nothing else. */
export interface PromptTrail {
  /** Prompt tokens in a block of the chain that the trail is cut from, as estimated at the pick. */
  readonly blockTokens: number
  /** The hashes of `core/promptTrail.ts`, 32 bits each with the lowest byte first, in base64. */
  readonly blocks: string
}

/** One line of the log. Never holds a word of a prompt. */
export interface DecisionEntry {
  readonly requestId: string
  readonly model: string
  readonly policy: string
  readonly pod: string
  /** When the request came to the gateway, wall clock. */
  readonly arrivedMs: number
  /** From then to the pick: the body read, and held while every pod was full. */
  readonly waitMs: number
  /** From then to the end. */
  readonly totalMs: number
  readonly stream: boolean
  /** The client's limit, if it set one. */
  readonly maxTokens: number | undefined
  /** Hash of the client's session key, where the policy or else the gateway looks for one; 0: none. */
  readonly session: number
  readonly promptTokens: number
  readonly hitTokens: number
  /** What the pod itself told of the prompt, when it did. */
  readonly podPromptTokens: number | undefined
  readonly podHitTokens: number | undefined
  readonly predictedTtftMs: number
  /** From the pick to the first token; undefined unless the answer streamed. */
  readonly observedTtftMs: number | undefined
  readonly outcome: "finished" | "failed" | "aborted"
  readonly outputTokens: number | undefined
  /** Undefined: the log leaves block hashes out. */
  readonly trail: PromptTrail | undefined
}

/** What may change while decisions are logged. */
export interface DecisionLogSettings {
  readonly path: string
  /** Share of the decisions that are written, 0 to 1. */
  readonly sampleRate: number
  /** Whether entries should have a trail. */
  readonly blockHashes: boolean
  /** A file that would grow above this becomes `path.1`, in the place of the one that had that name. */
  readonly bytesMax: number
}

export interface DecisionLogOptions extends DecisionLogSettings {
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
  /** Of decisions from now on. */
  private settings: DecisionLogSettings
  /** The file of what is written out now. */
  private file: Pick<DecisionLogSettings, "bytesMax" | "path">
  private pending: Array<readonly [atMs: number, entry: DecisionEntry, sampleRate: number]> = []
  private fileBytes = -1
  private failing = false
  private lostFull = 0
  private lostUnwritten = 0
  private flushing: Promise<void> = Promise.resolve()

  constructor(options: DecisionLogOptions) {
    this.options = options
    this.settings = options
    this.file = options
  }

  /** What waits still goes to the file of before. */
  replaceSettings(settings: DecisionLogSettings): Promise<void> {
    this.settings = settings
    this.flushing = this.flush().then(() => {
      if (settings.path !== this.file.path) this.fileBytes = -1
      this.file = settings
    })
    return this.flushing
  }

  get blockHashes(): boolean {
    return this.settings.blockHashes
  }

  /** Whether the next decision is to be written; asked first, so that the others cost nothing. */
  readonly samples = (): boolean => this.options.random() < this.settings.sampleRate

  readonly write = (entry: DecisionEntry): void => {
    if (this.pending.length >= this.options.pendingMax) {
      this.lostFull++
      return
    }
    this.pending.push([this.options.nowMs(), entry, this.settings.sampleRate])
  }

  /** Sampled decisions that are in no file: more came than may wait, or the file could not be written. */
  get lost(): { readonly full: number; readonly unwritten: number } {
    return { full: this.lostFull, unwritten: this.lostUnwritten }
  }

  /** Appends what waits, after the flush before. Never rejects. */
  flush(): Promise<void> {
    this.flushing = this.flushing.then(() => this.append())
    return this.flushing
  }

  private async append(): Promise<void> {
    if (this.pending.length === 0) return
    const lines = this.pending.map(([atMs, entry, sampleRate]) => lineOf(atMs, entry, sampleRate))
    this.pending = []
    try {
      if (this.fileBytes < 0) this.fileBytes = await sizeOf(this.file.path)
      await this.appendLines(lines)
      this.failing = false
    } catch (cause) {
      this.fileBytes = -1
      this.lostUnwritten += lines.length
      const why = cause instanceof Error ? cause.message : String(cause)
      if (!this.failing) this.options.warn(`decisions are not logged until ${this.file.path} can be written: ${why}`)
      this.failing = true
    }
  }

  private async appendLines(lines: ReadonlyArray<string>): Promise<void> {
    const { bytesMax, path } = this.file
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

const lineOf = (atMs: number, entry: DecisionEntry, sampleRate: number): string =>
  `${
    JSON.stringify({
      time: new Date(atMs).toISOString(),
      requestId: entry.requestId.slice(0, NAME_CHARS_MAX),
      model: entry.model.slice(0, NAME_CHARS_MAX),
      arrivedMs: thousandths(entry.arrivedMs),
      waitMs: thousandths(entry.waitMs),
      totalMs: thousandths(entry.totalMs),
      stream: entry.stream,
      maxTokens: entry.maxTokens ?? null,
      session: entry.session,
      promptTokens: entry.promptTokens,
      hitTokens: Math.round(entry.hitTokens),
      podPromptTokens: entry.podPromptTokens ?? null,
      podHitTokens: entry.podHitTokens ?? null,
      policy: entry.policy,
      pod: entry.pod,
      predictedTtftMs: thousandths(entry.predictedTtftMs),
      observedTtftMs: thousandths(entry.observedTtftMs),
      outcome: entry.outcome,
      outputTokens: entry.outputTokens ?? null,
      sampleRate,
      ...(entry.trail === undefined ? {} : { ...entry.trail, blockTokens: thousandths(entry.trail.blockTokens) })
    })
  }\n`

const thousandths = (value: number | undefined): number | null =>
  value === undefined || !Number.isFinite(value) ? null : Math.round(value * 1000) / 1000
