import type { RescueBytes } from "./RescueBytes.ts"

const comma = 0x2c
/** Room for the first tokens of an answer, so that most short ones never grow. */
const spareBytes = 384

/**
 * The token ids of one stream so far, prompt and answer, as the digits and commas in which the pod wrote them: five
 * bytes a token, nothing is parsed. Ids whose text the client has not seen are not committed; another pod samples
 * them anew.
 */
export class TokenTrail {
  /** Of the prompt; 0 before `start`. */
  promptTokens = 0
  private readonly room: RescueBytes
  private readonly bytesMax: number
  private bytes = empty
  private promptLength = 0
  private length = 0
  private committed = 0

  constructor(room: RescueBytes, bytesMax: number) {
    this.room = room
    this.bytesMax = bytesMax
  }

  /** It began, and its memory was not taken away since. */
  get kept(): boolean {
    return this.promptLength > 0
  }

  /** Takes the prompt's ids. False: no room for them, or not ids. */
  start(ids: Uint8Array): boolean {
    if (ids.length === 0 || !ids.every(isDigitOrComma) || !this.grow(ids.length + spareBytes)) return false
    this.bytes.set(ids)
    this.length = this.committed = this.promptLength = ids.length
    this.promptTokens = 1 + commasIn(ids, 0, ids.length)
    return true
  }

  /** Adds the ids in `source` from `from` to `to`, if there is still room for this stream. */
  append(source: Uint8Array, from: number, to: number): void {
    if (!this.kept) return
    const needed = this.length + 1 + to - from
    if (needed > this.bytes.length && !this.grow(Math.ceil(1.5 * needed))) return this.release()
    this.bytes[this.length++] = comma
    for (let i = from; i < to; i++) this.bytes[this.length++] = source[i] ?? comma
  }

  /** What was added so far has reached the client as text. */
  commit(): void {
    this.committed = this.length
  }

  /** Forgets what is not committed. */
  rollBack(): void {
    this.length = this.committed
  }

  /** Of the answer so far. */
  get outputTokens(): number {
    return commasIn(this.bytes, this.promptLength, this.length)
  }

  /** Prompt and answer as the inside of a JSON list. */
  ids(): string {
    return Buffer.from(this.bytes.buffer, 0, this.length).toString("latin1")
  }

  /** Gives the memory back; harmless when repeated. */
  release(): void {
    this.room.give(this.bytes.length)
    this.bytes = empty
    this.length = this.committed = this.promptLength = 0
  }

  private grow(size: number): boolean {
    if (size > this.bytesMax || !this.room.take(size - this.bytes.length)) return false
    const grown = new Uint8Array(size)
    grown.set(this.bytes.subarray(0, this.length))
    this.bytes = grown
    return true
  }
}

const empty = new Uint8Array(0)

const isDigitOrComma = (byte: number): boolean => (byte >= 0x30 && byte <= 0x39) || byte === comma

const commasIn = (bytes: Uint8Array, from: number, to: number): number => {
  let count = 0
  for (let i = from; i < to; i++) if (bytes[i] === comma) count++
  return count
}
