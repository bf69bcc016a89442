import type { PromptKind } from "../routes.ts"

/** Of a pod's words, in an error of ours. */
const wordsCharsMax = 300

type Members = Readonly<Record<string, unknown>>

/** What an event tells of an answer that has not begun; `surrender`: why the pod gives up. */
export type Told = "nothing" | "something" | { readonly surrender: string }

/** How the event streams of a route begin. */
export interface OpeningKind {
  /** Of each event. */
  readonly eventStart: string
  /** The members of an event's data; undefined when it has none that are whole. */
  readonly dataOf: (event: string) => Members | undefined
  readonly told: (event: string) => Told
}

/** An event of a chat is its data; the first, for each choice, says only who speaks. */
const chat: OpeningKind = {
  eventStart: "data: {",
  dataOf: (event) => membersOf(event.slice("data: ".length)),
  told(event) {
    // Most chats' second event is a word, which need not be read.
    if (!event.includes("\"role\":") && !event.includes("\"error\":") && !event.includes("\"abort\"")) {
      return "something"
    }
    const said = this.dataOf(event)
    if (said === undefined) return "something"
    const surrender = surrenderOf(said)
    if (surrender !== undefined) return { surrender }
    return saysOnlyWho(said["choices"]) ? "nothing" : "something"
  }
}

/** An event has a name, and some names come before all output. */
const named = (beforeOutput: ReadonlyArray<string>): OpeningKind => ({
  eventStart: "event: ",
  dataOf: (event) => membersOf(event.slice(event.indexOf(dataStart) + dataStart.length)),
  told(event) {
    const name = event.slice(this.eventStart.length, event.indexOf("\n"))
    if (beforeOutput.includes(name)) return "nothing"
    const surrender = name === "error" ? surrenderOf(this.dataOf(event) ?? {}) : undefined
    return surrender === undefined ? "something" : { surrender }
  }
})

const dataStart = "\ndata: "

/**
 * Of routes whose streams begin before the pod has anything to say. vLLM sends the first events of a Responses stream
 * before its engine has seen the request.
 */
export const openingKinds: Readonly<Partial<Record<PromptKind, OpeningKind>>> = {
  chat,
  messages: named(["message_start"]),
  responses: named(["response.created", "response.queued", "response.in_progress"])
}

const membersOf = (json: string): Members | undefined => {
  try {
    return asMembers(JSON.parse(json))
  } catch {
    return undefined
  }
}

const asMembers = (value: unknown): Members =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? value as Members : {}

const asList = (value: unknown): ReadonlyArray<unknown> => Array.isArray(value) ? value : []

/** A fault of the request's own is told to the client, since no other pod would do better. */
const surrenderOf = ({ choices, error }: Members): string | undefined => {
  const { code, message, type } = asMembers(error)
  // The second is how vLLM's Messages say it, which have no codes.
  if ((typeof code === "number" && code >= 500) || type === "internal_error") {
    return `it ended a stream with an error${typeof message === "string" ? `: ${message.slice(0, wordsCharsMax)}` : ""}`
  }
  const isAborted = asList(choices).some((choice) => asMembers(choice)["finish_reason"] === "abort")
  return isAborted ? "its engine gave the request up" : undefined
}

const saysOnlyWho = (choices: unknown): boolean => {
  const list = asList(choices)
  return list.length > 0 &&
    list.map(asMembers).every(({ delta, finish_reason, token_ids }) =>
      isEmpty(finish_reason) && isEmpty(token_ids) &&
      Object.entries(asMembers(delta)).every(([name, value]) => name === "role" || isEmpty(value))
    )
}

const isEmpty = (value: unknown): boolean =>
  value === undefined || value === null || value === "" || (Array.isArray(value) && value.length === 0)
