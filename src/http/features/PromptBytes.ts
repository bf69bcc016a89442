/** Beyond this a buffer is used once and given back. */
const keptBytesMax = 4 * 1024 * 1024

/**
 * One buffer in which prompts are encoded. It remembers whose bytes it holds, so that the pick, which usually comes
 * at once, hashes what the estimate of the length has encoded already.
 */
export class PromptBytes {
  bytes = new Uint8Array(64 * 1024)
  byteLength = 0
  private owner: object | undefined
  private readonly encoder = new TextEncoder()

  /** Makes `bytes[0..byteLength)` the UTF-8 of `text`. */
  encode(text: string, owner: object): void {
    if (this.owner === owner) return
    let target = this.sized(text.length)
    let result = this.encoder.encodeInto(text, target)
    if (result.read < text.length) {
      target = this.sized(3 * text.length)
      result = this.encoder.encodeInto(text, target)
    }
    this.bytes = target
    this.byteLength = result.written
    this.owner = owner
  }

  /** Makes the bytes token ids, 32 bits each in the machine's order. */
  encodeIds(ids: ReadonlyArray<number>, owner: object): void {
    if (this.owner === owner) return
    this.bytes = this.sized(4 * ids.length)
    new Uint32Array(this.bytes.buffer, 0, ids.length).set(ids)
    this.byteLength = 4 * ids.length
    this.owner = owner
  }

  /** Lets go of a large buffer. */
  release(owner: object): void {
    if (this.owner === owner) this.owner = undefined
    if (this.bytes.length > keptBytesMax) this.bytes = new Uint8Array(64 * 1024)
  }

  private sized(length: number): Uint8Array<ArrayBuffer> {
    this.owner = undefined
    return length <= this.bytes.length ? this.bytes : new Uint8Array(2 ** Math.ceil(Math.log2(length)))
  }
}
