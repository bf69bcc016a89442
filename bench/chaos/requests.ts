import type { Expected } from "./answerCheck.ts"

export const MODEL = "chaos-model"

/** A prompt that is asked again and again, so that its right answer is known. */
export interface Question {
  readonly path: "/v1/chat/completions" | "/v1/completions"
  readonly isStream: boolean
  readonly outputTokens: number
  /** JSON without the braces and without a user. */
  readonly members: string
}

export interface KnownQuestion {
  readonly asked: Question
  readonly expected: Expected
}

const QUESTIONS = 256
const GROUPS = 16
/** Streams are long, so that many are open when something breaks. */
const STREAM_TOKENS = 64
const JSON_TOKENS = 16

const words = "model cache token block prefix warm route pod queue batch weight layer stream answer question".split(" ")

const prose = (seed: number, count: number): string => {
  let state = seed
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return words[(state >>> 8) % words.length]
  }).join(" ")
}

const question = (number: number): Question => {
  const isStream = number % 2 === 0
  const outputTokens = isStream ? STREAM_TOKENS : JSON_TOKENS
  const system = prose(number % GROUPS, 120)
  const asked = `Question ${number}: ${prose(1000 + number, 20)}`
  const isChat = number % 4 < 2
  const prompt = isChat
    ? `"messages":${JSON.stringify([{ role: "system", content: system }, { role: "user", content: asked }])}`
    : `"prompt":${JSON.stringify(`${system}\n${asked}`)}`
  return {
    path: isChat ? "/v1/chat/completions" : "/v1/completions",
    isStream,
    outputTokens,
    members: `"model":"${MODEL}",${prompt},"max_tokens":${outputTokens},"temperature":0,"ignore_eos":true`
  }
}

/** Chat and completions, streamed and not, in equal parts. */
export const questions: ReadonlyArray<Question> = Array.from({ length: QUESTIONS }, (_, number) => question(number))

/** Asks one pod for the right answers, at a time when nothing is wrong with it. */
export const withAnswers = async (podUrl: string): Promise<ReadonlyArray<KnownQuestion>> =>
  Promise.all(questions.map(async (asked) => {
    const answer = await fetch(`${podUrl}${asked.path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: `{${asked.members}}`
    })
    const body = await answer.json() as { choices?: ReadonlyArray<{ text?: string; message?: { content: string } }> }
    const choice = body.choices?.[0]
    const text = choice?.message?.content ?? choice?.text
    if (text === undefined) throw new Error(`a pod did not answer a question: ${JSON.stringify(body)}`)
    return { asked, expected: { text, outputTokens: asked.outputTokens } }
  }))

/** The whole HTTP request. */
export const requestBytes = (asked: Question, user: string, host: string): Buffer => {
  const options = asked.isStream ? `,"stream":true,"stream_options":{"include_usage":true}` : ""
  const body = `{${asked.members}${options},"user":"${user}"}`
  return Buffer.from(
    `POST ${asked.path} HTTP/1.1\r\nhost: ${host}\r\ncontent-type: application/json\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
  )
}
