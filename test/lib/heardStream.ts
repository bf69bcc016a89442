import { expect } from "bun:test"

/** One stream as its client sees it. */
export interface Heard {
  readonly text: string
  readonly ids: ReadonlyArray<string>
  readonly roles: number
  readonly finishReason: string | null
  readonly usage: Readonly<Record<string, unknown>> | undefined
  readonly error: unknown
  /** `data: [DONE]` was the last event. */
  readonly isWhole: boolean
}

interface Event {
  readonly id?: string
  readonly error?: unknown
  readonly usage?: Readonly<Record<string, unknown>> | null
  readonly choices?: ReadonlyArray<{
    readonly text?: string
    readonly delta?: { readonly content?: string; readonly role?: string }
    readonly finish_reason?: string | null
  }>
}

const heard = (stream: string): Heard => {
  const lines = stream.split("\n\n").filter((line) => line !== "")
  const isWhole = lines.at(-1) === "data: [DONE]"
  const events = lines.filter((line) => line.startsWith("data: {")).map((line) => JSON.parse(line.slice(6)) as Event)
  const choices = events.flatMap((event) => event.choices ?? [])
  return {
    text: choices.map((choice) => choice.text ?? choice.delta?.content ?? "").join(""),
    ids: [...new Set(events.map((event) => event.id ?? "none"))],
    roles: choices.filter((choice) => choice.delta?.role !== undefined).length,
    finishReason: choices.findLast((choice) => typeof choice.finish_reason === "string")?.finish_reason ?? null,
    usage: events.findLast((event) => event.usage)?.usage ?? undefined,
    error: events.find((event) => event.error !== undefined)?.error,
    isWhole
  }
}

export interface Asked {
  readonly path: string
  readonly body: Readonly<Record<string, unknown>>
}

/** Resolves at the first text; `end` is the whole stream. */
export const openStream = async (url: string, { body, path }: Asked, headers: Record<string, string> = {}) => {
  const response = await fetch(url + path, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body)
  })
  expect(response.status, response.ok ? "" : await response.text()).toBe(200)
  const reader = (response.body ?? new ReadableStream<Uint8Array>()).getReader()
  const decoder = new TextDecoder()
  let text = ""
  while (!/"(?:content|text)":"[^"]/.test(text)) text += decoder.decode((await reader.read()).value, { stream: true })
  const readOn = async (): Promise<Heard> => {
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      text += decoder.decode(next.value, { stream: true })
    }
    return heard(text)
  }
  return { pod: response.headers.get("x-warmroute-pod") ?? "none", end: readOn() }
}
