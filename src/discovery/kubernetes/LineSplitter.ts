/**
 * Cuts a stream of bytes into lines of UTF-8. A line above the limit is skipped up to its end, so that one huge object
 * neither fills the memory nor ends the watch.
 */
export class LineSplitter {
  private readonly lineBytesMax: number
  private readonly onLine: (line: string) => void
  private readonly onTooLong: () => void
  private readonly decoder = new TextDecoder()
  private parts: Array<Uint8Array> = []
  private bytes = 0
  private skipping = false

  constructor(lineBytesMax: number, onLine: (line: string) => void, onTooLong: () => void) {
    this.lineBytesMax = lineBytesMax
    this.onLine = onLine
    this.onTooLong = onTooLong
  }

  push(chunk: Uint8Array): void {
    let from = 0
    while (true) {
      const end = chunk.indexOf(0x0a, from)
      if (end < 0) break
      this.take(chunk.subarray(from, end))
      this.finish()
      from = end + 1
    }
    if (from < chunk.length) this.take(chunk.subarray(from))
  }

  private take(part: Uint8Array): void {
    if (this.skipping || part.length === 0) return
    this.bytes += part.length
    if (this.bytes <= this.lineBytesMax) {
      this.parts.push(part)
      return
    }
    this.skipping = true
    this.parts = []
    this.onTooLong()
  }

  private finish(): void {
    const { parts, skipping } = this
    this.parts = []
    this.bytes = 0
    this.skipping = false
    const [only] = parts
    if (skipping || only === undefined) return
    this.onLine(this.decoder.decode(parts.length === 1 ? only : Buffer.concat(parts)))
  }
}
