import type { Tokenizer } from "./Tokenizer.ts"

const words =
  "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut labore et dolore magna aliqua enim ad minim veniam quis nostrud exercitation ullamco laboris nisi aliquip ex ea commodo consequat duis aute irure in reprehenderit voluptate velit esse cillum eu fugiat nulla pariatur excepteur sint occaecat cupidatat non proident sunt culpa qui officia deserunt mollit anim id est laborum"
    .split(" ")

const tokenCount = 4096

/**
 * What emulated models say: a ring of pseudo-Latin sentences, cut in tokens of four characters.
 * An answer is a stretch of the ring, so a prompt's hash is all it takes to give the same answer again.
 * Sentences start and end on token boundaries, and no character needs escaping in JSON.
 */
export class LoremText {
  readonly tokenCount = tokenCount
  readonly pieces: ReadonlyArray<string>
  readonly tokens: Int32Array
  /** Indices of tokens that begin a sentence. */
  readonly sentenceStarts: ReadonlyArray<number>

  constructor(tokenizer: Tokenizer, seed: number) {
    let state = seed | 0
    const random = (limit: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) | 0
      return Math.floor(((state >>> 8) / 2 ** 24) * limit)
    }
    const starts: Array<number> = []
    let text = ""
    while (text.length < tokenCount * 4) {
      starts.push(text.length / 4)
      const room = tokenCount * 4 - text.length
      const sentence = makeSentence(random)
      text += sentence.length <= room ? sentence : "sit ".repeat(room / 4)
    }
    this.sentenceStarts = starts
    this.pieces = Array.from({ length: tokenCount }, (_, index) => text.slice(index * 4, index * 4 + 4))
    this.tokens = Int32Array.from(tokenizer.encode(text))
  }
}

/** A sentence with a full stop and a space whose length is a multiple of four. */
const makeSentence = (random: (limit: number) => number): string => {
  const chosen = Array.from({ length: 5 + random(9) }, () => words[random(words.length)]!)
  let sentence = chosen.join(" ")
  const fitting = words.filter((word) => (sentence.length + word.length + 3) % 4 === 0)
  sentence += ` ${fitting[random(fitting.length)]!}. `
  return sentence.charAt(0).toUpperCase() + sentence.slice(1)
}
