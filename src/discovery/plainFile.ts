import { open, stat } from "node:fs/promises"
import { fileWords } from "../core/fileWords.ts"

const PIECE_BYTES = 64 * 1024

/**
 * The text of a plain file, up to the limit even while the file grows. Rejects with an error of the system or with one
 * of our own; `whyUnread` has words for both.
 */
export const readPlainFile = async (path: string, bytesMax: number): Promise<string> => {
  // Opening a pipe would wait for its writer, so only a plain file is opened.
  if (!(await stat(path)).isFile()) throw new Error("is not a plain file")
  const file = await open(path)
  try {
    const pieces: Array<Uint8Array> = []
    let length = 0
    for (;;) {
      const piece = new Uint8Array(PIECE_BYTES)
      const { bytesRead } = await file.read(piece, 0, PIECE_BYTES)
      if (bytesRead === 0) break
      length += bytesRead
      if (length > bytesMax) throw new Error(`is longer than ${bytesMax} bytes`)
      pieces.push(piece.subarray(0, bytesRead))
    }
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(pieces, length))
  } finally {
    await file.close()
  }
}

/** Why a file can't be read, as words that follow its name. */
export const whyUnread = (cause: unknown): string => {
  if (cause instanceof TypeError) return "is not UTF-8 text"
  return fileWords(cause, "read")
}
