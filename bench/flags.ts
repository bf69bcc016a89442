import { parseArgs } from "node:util"

/** An option that a bench can't take; its message says what there is instead. */
export class WrongOption extends Error {}

export interface Flag {
  /** What belongs behind it, such as `N`; without this it stands alone. */
  readonly takes?: string
  readonly help: string
}

export type Flags = Readonly<Record<string, Flag>>

/** What the command line said; undefined where it said nothing. */
export type FlagValues<F extends Flags> = {
  readonly [Name in keyof F]?: (F[Name] extends { readonly takes: string } ? string : boolean) | undefined
}

/** Every bench takes these. */
export const commonFlags = {
  quick: { help: "fewer rounds and shorter windows: to see that it works, not to quote" },
  json: { help: "the last line on stdout is one JSON object" },
  help: { help: "this list" }
} satisfies Flags

/** Throws WrongOption for what is none of the flags, or has no value where one belongs. */
export const flagValues = <F extends Flags>(args: ReadonlyArray<string>, flags: F): FlagValues<F> => {
  const options = Object.fromEntries(
    Object.entries<Flag>(flags).map(([name, { takes }]) => [
      name,
      { type: takes === undefined ? "boolean" as const : "string" as const }
    ])
  )
  try {
    return parseArgs({ args: [...args], options }).values as FlagValues<F>
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause
    const [what] = cause.message.split(/\.\s/)
    throw new WrongOption(`${what}; there are: ${Object.keys(flags).map((name) => `--${name}`).join(", ")}`)
  }
}

export const flagLines = (flags: Flags): ReadonlyArray<string> => {
  const rows = Object.entries(flags).map(([name, { help, takes }]) =>
    [takes === undefined ? `--${name}` : `--${name} ${takes}`, help] as const
  )
  const width = Math.max(...rows.map(([flag]) => flag.length))
  return rows.map(([flag, help]) => `  ${flag.padEnd(width)}  ${help}`)
}

/** A number of at least `least`, or any above 0. Throws WrongOption. */
export const numberOf = (flag: string, text: string, least?: number): number => {
  const value = Number(text)
  if (Number.isFinite(value) && (least === undefined ? value > 0 : value >= least)) return value
  throw new WrongOption(
    `--${flag} has "${text}" where a number belongs, ${least === undefined ? "above 0" : `${least} or more`}`
  )
}

/** Throws WrongOption. */
export const wholeNumberOf = (flag: string, text: string, least: number): number => {
  const value = Number(text)
  if (text.trim() !== "" && Number.isInteger(value) && value >= least) return value
  throw new WrongOption(`--${flag} has "${text}" where a whole number belongs, ${least} or more`)
}

/** The names in a list. Throws WrongOption when one is none of the known ones. */
export const namesOf = (flag: string, list: string, known: ReadonlyArray<string>): ReadonlyArray<string> => {
  const names = list.split(",")
  const unknown = names.filter((name) => !known.includes(name))
  if (unknown.length === 0) return names
  throw new WrongOption(`--${flag} ${unknown.join(",")}: there are ${known.join(", ")}`)
}
