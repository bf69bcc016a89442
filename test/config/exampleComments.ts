/** A setting in an example's text. */
export interface WrittenSetting {
  readonly path: ReadonlyArray<string>
  /** What its own comment gives as the default, in parentheses: `(default: none)`. */
  readonly ownDefault: string | undefined
  /** It or a section around it says that what is written is not the default. */
  readonly isExample: boolean
}

interface Section {
  readonly key: string
  readonly indent: number
  readonly isExample: boolean
}

/**
 * The settings of an example, sections and lists among them but not what is inside a list. A comment belongs to the key
 * in its line, or, in lines of its own, to the next key.
 */
export const writtenSettings = (text: string): ReadonlyArray<WrittenSetting> => {
  const found: Array<WrittenSetting> = []
  const around: Array<Section> = []
  let above = ""
  let listIndent = Number.POSITIVE_INFINITY
  for (const line of text.split("\n")) {
    const words = line.trimStart()
    const indent = line.length - words.length
    if (words === "") above = ""
    else if (words.startsWith("#")) above += ` ${words}`
    else {
      if (words.startsWith("- ")) listIndent = Math.min(listIndent, indent)
      else if (indent < listIndent) listIndent = Number.POSITIVE_INFINITY
      const key = listIndent <= indent ? undefined : /^"?([^\s":]+)"?:(\s|$)/.exec(words)?.[1]
      if (key === undefined) continue
      while ((around.at(-1)?.indent ?? -1) >= indent) around.pop()
      const ownDefault = /\(default: ([^;,)]*)/.exec(`${above} ${words}`)?.[1]
      const isExample = ownDefault !== undefined || around.at(-1)?.isExample === true
      found.push({ path: [...around.map((section) => section.key), key], ownDefault, isExample })
      around.push({ key, indent, isExample })
      above = ""
    }
  }
  return found
}
