import type { EngineDriver } from "./EngineDriver.ts"
import type { Generation } from "./Generation.ts"

/** How one API spells a stream. Each method returns finished server-sent events. */
export interface StreamShape {
  /** Before the first token. */
  readonly head: () => string
  /** Output tokens `from` up to `to` of one choice, its last one included when `to` is the plan's token count. */
  readonly tokens: (choice: number, from: number, to: number) => string
  /** After the last token of the last choice. */
  readonly tail: () => string
}

/** Bytes that may wait for a slow client; further tokens wait as numbers, not as text. */
const bufferedBytesMax = 65_536

/**
 * Body of a streamed answer. All tokens that became visible since the last write leave in one chunk.
 * A client that goes away aborts what still runs.
 */
export const tokenStream = (
  driver: EngineDriver,
  generations: ReadonlyArray<Generation>,
  shape: StreamShape,
  headAtOnce: boolean
): ReadableStream<Uint8Array> => {
  const encoder = new TextEncoder()
  const sent = generations.map(() => 0)
  let headSent = false
  let closed = false

  const flush = (controller: ReadableStreamDefaultController<Uint8Array>): void => {
    if (closed || (controller.desiredSize ?? 0) <= 0) return
    let text = ""
    let running = 0
    for (const [choice, generation] of generations.entries()) {
      const from = sent[choice]!
      const to = generation.visibleTokens
      if (to > from) {
        if (!headSent) text += shape.head()
        headSent = true
        text += shape.tokens(choice, from, to)
        sent[choice] = to
      }
      if (!generation.ended) running++
    }
    if (running === 0) text += shape.tail()
    // The controller asks for more while it takes a chunk, so what is sent is settled before.
    if (running === 0) closed = true
    if (text !== "") controller.enqueue(encoder.encode(text))
    if (running === 0) controller.close()
  }

  const abort = (): void => {
    closed = true
    for (const generation of generations) driver.abort(generation)
  }

  return new ReadableStream<Uint8Array>({
    start: (controller) => {
      if (headAtOnce) {
        headSent = true
        controller.enqueue(encoder.encode(shape.head()))
      }
      for (const generation of generations) {
        generation.onProgress = () => {
          if (!generation.aborted) return flush(controller)
          if (closed) return
          // The pod stops: break the stream off as a dying process would.
          closed = true
          controller.error(new Error("the pod stopped"))
        }
      }
    },
    pull: flush,
    cancel: abort
  }, new ByteLengthQueuingStrategy({ highWaterMark: bufferedBytesMax }))
}
