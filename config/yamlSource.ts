import { Either } from "effect"
import { isMap, isNode, isPair, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml"
import { ConfigError } from "./ConfigError.ts"
import { type ConfigSource, isTree, type SettingPath } from "./ConfigSource.ts"

/** No setting lies this deep, but an alias inside its own value has no end. */
const LEVELS_MAX = 32

/** Reads YAML (JSON is YAML too) that holds settings by name. `name` is what messages call the file. */
export const yamlSource = (name: string, text: string): Either.Either<ConfigSource, ConfigError> =>
  Either.flatMap(yamlValue(name, text), ({ placeOf, value }) => {
    const values = value ?? {}
    return isTree(values)
      ? Either.right({ name, values, placeOf })
      : wrong(`${name}:1:1`, "does not hold settings by name", `Write for instance "listen: { port: 8080 }".`)
  })

interface YamlValue {
  readonly value: unknown
  /** Line and column of the deepest part of the path that is there. */
  readonly placeOf: (path: SettingPath) => string | undefined
}

const wrong = (source: string, problem: string, fix?: string) =>
  Either.left(new ConfigError({ issues: [{ source, key: undefined, problem, fix }] }))

/** Reads any YAML. Left names line and column, and may repeat what is there. */
export const yamlValue = (name: string, text: string): Either.Either<YamlValue, ConfigError> => {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const textAt = (offset: number): string => {
    const { line, col } = lines.linePos(offset)
    return `${line}:${col}`
  }
  const [fault] = document.errors
  if (fault !== undefined) {
    return wrong(
      `${name}:${textAt(fault.pos[0])}`,
      `is not YAML: ${fault.message.replace(/\.$/, "")}`,
      syntaxFix(fault.code)
    )
  }
  const misfit = misfitIn(document.contents, LEVELS_MAX)
  if (misfit === "deep") return wrong(name, ...tooDeep)
  if (misfit !== undefined) {
    return wrong(`${name}:${textAt(misfit.offset)}`, "has a list or a map as the name of a setting", "Names are text.")
  }
  let value: unknown
  try {
    value = document.toJS()
  } catch (cause) {
    return wrong(name, `is not YAML: ${cause instanceof Error ? cause.message : String(cause)}`)
  }
  if (isDeeperThan(LEVELS_MAX, value)) return wrong(name, ...tooDeep)
  return Either.right({
    value,
    placeOf: (path) => {
      const offset = offsetOf(document.contents, path)
      return offset === undefined ? undefined : textAt(offset)
    }
  })
}

const tooDeep = [
  `nests deeper than ${LEVELS_MAX} levels`,
  "An alias (*name) must not lie inside the value that it stands for."
] as const

/**
 * Looked for before the values are made: a name that is a map of such names takes the parser time without end. Aliases
 * are not followed.
 */
const misfitIn = (node: unknown, levels: number): "deep" | { readonly offset: number } | undefined => {
  if (!isMap(node) && !isSeq(node)) return undefined
  if (levels === 0) return "deep"
  for (const item of node.items) {
    if (isPair(item) && isNode(item.key) && !isName(item.key)) return { offset: item.key.range?.[0] ?? 0 }
    const misfit = misfitIn(isPair(item) ? item.value : item, levels - 1)
    if (misfit !== undefined) return misfit
  }
  return undefined
}

/** No list or map, and no bytes. */
const isName = (key: Node): boolean => isScalar(key) && (typeof key.value !== "object" || key.value === null)

const isDeeperThan = (levels: number, value: unknown): boolean =>
  typeof value === "object" && value !== null &&
  (levels === 0 || Object.values(value).some((inner) => isDeeperThan(levels - 1, inner)))

const syntaxFix = (code: string): string | undefined => {
  if (code === "DUPLICATE_KEY") return "Each key may be there once; remove one of the two."
  if (code === "TAB_AS_INDENT") return "Indent with spaces."
  if (code === "BLOCK_AS_IMPLICIT_KEY") return `Quote a text that holds ": ", or check the indentation.`
  return undefined
}

/** Where the key of the path's deepest known part begins. */
const offsetOf = (root: Node | null, path: SettingPath): number | undefined => {
  let here: unknown = root
  let offset: number | undefined
  for (const key of path) {
    if (isMap(here)) {
      const pair = here.items.find((item) => isScalar(item.key) && String(item.key.value) === String(key))
      if (pair === undefined) break
      if (isNode(pair.key)) offset = pair.key.range?.[0]
      here = pair.value
    } else if (isSeq(here)) {
      here = here.items[Number(key)]
      if (isNode(here)) offset = here.range?.[0]
    } else {
      break
    }
  }
  return offset
}
