/** Where and why Python's `json` refuses a text that `JSON.parse` refused too. */
export interface JsonFault {
  readonly position: number
  readonly message: string
}

class Fault extends Error {
  readonly position: number
  constructor(message: string, position: number) {
    super(message)
    this.position = position
  }
}

const literal = /(?:true|false|null|NaN|Infinity|-Infinity|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)/y
const depthMax = 1000

/** Walks the text as Python's decoder does; only called on the error path. */
export const jsonFaultOf = (text: string): JsonFault => {
  const scanner = new Scanner(text)
  try {
    scanner.value(0)
    scanner.space()
    return { position: scanner.at, message: "Extra data" }
  } catch (fault) {
    if (fault instanceof Fault) return { position: fault.position, message: fault.message }
    throw fault
  }
}

class Scanner {
  at = 0
  private readonly text: string

  constructor(text: string) {
    this.text = text
  }

  space(): void {
    while (" \t\n\r".includes(this.text[this.at] ?? "x")) this.at++
  }

  value(depth: number): void {
    this.space()
    const char = this.text[this.at]
    if (depth > depthMax) throw new Fault("Expecting value", this.at)
    if (char === "{") return this.members(depth)
    if (char === "[") return this.items(depth)
    if (char === "\"") return this.string()
    literal.lastIndex = this.at
    const match = literal.exec(this.text)
    if (match === null) throw new Fault("Expecting value", this.at)
    this.at += match[0].length
  }

  private members(depth: number): void {
    this.at++
    this.space()
    if (this.text[this.at] === "}") return void this.at++
    for (;;) {
      this.space()
      if (this.text[this.at] !== "\"") throw new Fault("Expecting property name enclosed in double quotes", this.at)
      this.string()
      this.space()
      if (this.text[this.at] !== ":") throw new Fault("Expecting ':' delimiter", this.at)
      this.at++
      this.value(depth + 1)
      if (this.closes("}")) return
    }
  }

  private items(depth: number): void {
    this.at++
    this.space()
    if (this.text[this.at] === "]") return void this.at++
    for (;;) {
      this.value(depth + 1)
      if (this.closes("]")) return
    }
  }

  private closes(bracket: string): boolean {
    this.space()
    const char = this.text[this.at]
    if (char !== bracket && char !== ",") throw new Fault("Expecting ',' delimiter", this.at)
    this.at++
    return char === bracket
  }

  private string(): void {
    const start = this.at++
    for (;;) {
      const char = this.text[this.at]
      if (char === undefined) throw new Fault("Unterminated string starting at", start)
      if (char < " ") throw new Fault("Invalid control character at", this.at)
      if (char === "\"") return void this.at++
      if (char === "\\") {
        this.at++
        const escape = this.text[this.at]
        if (escape === undefined) throw new Fault("Unterminated string starting at", start)
        if (!"\"\\/bfnrtu".includes(escape)) throw new Fault("Invalid \\escape", this.at - 1)
        if (escape === "u" && !/^[0-9a-fA-F]{4}./s.test(this.text.slice(this.at + 1))) {
          throw new Fault("Invalid \\uXXXX escape", this.at)
        }
      }
      this.at++
    }
  }
}
