import { join } from "node:path"
import { askStream, type StreamedAnswer } from "../askStream.ts"
import { freePort, Process, untilAnswers, workDirectory } from "../Process.ts"
import { serveWith } from "../Warmroute.ts"
import { Prompts } from "./prompts.ts"
import { PODS, PRESET, scaledConstants, scaledPodsArgv, scaledPolicy, SCRAPE_MS } from "./scale.ts"
import type { BenchStage } from "./stages.ts"

const MODEL = "emulated"
const START_TIMEOUT_S = 20
/** Real time in which every answer must have begun, and then have ended. */
const ANSWER_WITHIN_MS = 180_000
const PROBES = 25
/** In which the scrapes that were cut off by a pause fail and the next ones succeed. */
const RESUMED_MS = 500
/** Output tokens in a piece of a stream: with one a token the machine would be busy with nothing else. */
const STREAM_INTERVAL = 100
/** Segments of the ladder begin at 0 and 1,000,000. */
const PROBE_SEGMENT = { id: 500_000, tokens: 7200 }

/** What a stage brought, on the real clock. */
export interface LiveStage {
  /** The stage's time 0. */
  readonly startedMs: number
  readonly answers: ReadonlyArray<StreamedAnswer>
  readonly failures: ReadonlyArray<string>
}

/** One policy's gateway in front of pods of its own, all as processes. */
export class Arm {
  readonly policy: string
  private readonly speed: number
  private readonly port = freePort()
  private readonly prompts = new Prompts(MODEL)
  private readonly processes: Array<Process> = []

  constructor(policy: string, speed: number) {
    this.policy = policy
    this.speed = speed
  }

  /** Returns when the gateway can pick any of the pods. Throws when something does not start. */
  async start(podPort: number): Promise<void> {
    const name = `headline-${this.policy}`
    const pods = new Process({
      name: `${name}-pods`,
      argv: scaledPodsArgv(podPort, this.speed, STREAM_INTERVAL, MODEL)
    })
    this.processes.push(pods)
    const urls = Array.from({ length: PODS }, (_, index) => `http://127.0.0.1:${podPort + index}`)
    for (const url of urls) await answering(pods, `${url}/v1/models`, MODEL)
    const file = join(workDirectory, "headline", `${this.policy}.yaml`)
    const gateway = new Process({ name, argv: serveWith(file, this.settings(urls)) })
    this.processes.push(gateway)
    await this.seesAllPods()
  }

  /** From the client to the engine and back, in real seconds: an idle pod that has the prompt, less what it computes. */
  async pathS(): Promise<number> {
    const body = this.prompts.body([PROBE_SEGMENT], 1)
    const ttftMs: Array<number> = []
    for (let probe = 0; probe < PROBES * PODS; probe++) {
      const { cachedTokens, firstTokenMs, outcome, sentMs, why } = await this.ask(body)
      if (outcome !== "answered") throw new Error(why)
      if (cachedTokens > 0) ttftMs.push(firstTokenMs - sentMs)
      if (ttftMs.length === PROBES) break
    }
    ttftMs.sort((one, other) => one - other)
    const { stepFixedS, weightReadS } = scaledConstants(this.speed)
    return Math.max(0, (ttftMs[PROBES >> 1] ?? 0) / 1000 - stepFixedS - weightReadS)
  }

  /** Stops its processes where they are, so that they take no CPU from the arm whose turn it is. */
  pause(): void {
    for (const child of this.processes) child.kill("SIGSTOP")
  }

  /** Returns when the gateway has seen its pods again. */
  async resume(): Promise<void> {
    for (const child of this.processes) child.kill("SIGCONT")
    await Bun.sleep(RESUMED_MS)
    await this.seesAllPods()
  }

  /** Sends every request of a stage when it is due and waits for all of them to end. */
  async run({ requests }: BenchStage): Promise<LiveStage> {
    const due = requests.map(({ afterS, output, prompt }) => ({
      afterMs: afterS / this.speed * 1000,
      body: this.prompts.body(prompt, output.tokens)
    }))
    const startedMs = performance.now()
    const ended = await Promise.all(due.map(async ({ afterMs, body }) => {
      await Bun.sleep(Math.max(0, startedMs + afterMs - performance.now()))
      return this.ask(body)
    }))
    const isWhole = ({ outcome, outputTokens }: StreamedAnswer) => outcome === "answered" && outputTokens > 0
    return {
      startedMs,
      answers: ended.filter(isWhole),
      failures: ended.filter((answer) => !isWhole(answer)).map(({ why }) => why)
    }
  }

  async stop(): Promise<void> {
    for (const child of this.processes) child.kill("SIGCONT")
    for (const child of this.processes.toReversed()) await child.stop()
  }

  private ask(body: Uint8Array): Promise<StreamedAnswer> {
    return askStream({
      port: this.port,
      body,
      firstTokenWithinMs: ANSWER_WITHIN_MS,
      streamWithinMs: ANSWER_WITHIN_MS
    })
  }

  private async seesAllPods(): Promise<void> {
    const gateway = this.processes.at(-1)
    if (gateway === undefined) return
    await answering(gateway, `http://127.0.0.1:${this.port}/metrics`, `warmroute_pods{state="healthy"} ${PODS}\n`)
  }

  private settings(urls: ReadonlyArray<string>): object {
    return {
      listen: { hostname: "127.0.0.1", port: this.port },
      admin: { enabled: false },
      pods: urls,
      policy: scaledPolicy(this.policy, this.speed),
      hardware: { preset: PRESET, ...scaledConstants(this.speed) },
      scrape: { interval: `${SCRAPE_MS} millis` },
      snapshot: { enabled: false }
    }
  }
}

const answering = async (child: Process, url: string, text: string): Promise<void> => {
  const reason = await untilAnswers(child, url, text, START_TIMEOUT_S)
  if (reason !== undefined) throw new Error(reason)
}
