import { Command, CommandDescriptor, type Usage } from "@effect/cli"
import { HashMap, Option } from "effect"
import { didYouMean } from "../../config/didYouMean.ts"
import { warmroute } from "./commands.ts"

/** What a command takes. */
interface Arguments {
  /** By flag: what belongs behind it; undefined where it stands alone. */
  readonly flags: Map<string, string | undefined>
  /** What stands without a flag, such as `<FILE>`; all of it is needed. */
  readonly places: Array<string>
  readonly neededFlags: Array<string>
}

const everywhere: ReadonlyMap<string, string | undefined> = new Map([
  ["--completions", "SHELL"],
  ...["--help", "-h", "--version", "--wizard"].map((flag) => [flag, undefined] as const)
])

const shells = ["bash", "fish", "zsh", "sh"]

const argumentsOf = (usage: Usage.Usage): Arguments => {
  const into: Arguments = { flags: new Map(), places: [], neededFlags: [] }
  collect(usage, true, into)
  return into
}

const collect = (usage: Usage.Usage, needed: boolean, into: Arguments): void => {
  if (usage._tag === "Concat") {
    collect(usage.left, needed, into)
    collect(usage.right, needed, into)
  } else if (usage._tag === "Optional") {
    collect(usage.usage, false, into)
  } else if (usage._tag === "Named") {
    const [name = ""] = usage.names
    if (name.startsWith("<")) into.places.push(name)
    if (!name.startsWith("--")) return
    into.flags.set(name, Option.getOrUndefined(usage.acceptedValues))
    if (needed) into.neededFlags.push(name)
  }
}

const argumentsByCommand: ReadonlyMap<string, Arguments> = new Map(
  HashMap.toEntries(Command.getSubcommands(warmroute))
    .map(([name, command]) => [name, argumentsOf(CommandDescriptor.getUsage(command))] as const)
    .toSorted(([one], [other]) => one < other ? -1 : 1)
)

/** What is wrong with the arguments, in words; the parser knows no near names and takes a flag without value for unknown. */
export const argumentFault = (args: ReadonlyArray<string>): string | undefined => {
  const name = args.find((arg) => !arg.startsWith("-"))
  const command = name === undefined ? undefined : argumentsByCommand.get(name)
  if (name !== undefined && command === undefined && args[0] === name) {
    return `there is no command "${name}".${suggest(name, [...argumentsByCommand.keys()], "The commands are")}`
  }
  const known = new Map([...everywhere, ...command?.flags ?? []])
  const helpFor = `"warmroute ${command === undefined ? "" : `${name} `}--help" lists them`
  const seen = new Set<string>()
  const placed: Array<string> = []
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? ""
    if (arg === "--") return undefined
    if (!arg.startsWith("-") || arg === "-") {
      placed.push(arg)
      continue
    }
    const [flag = arg] = arg.split("=")
    if (!known.has(flag)) {
      return `there is no flag ${flag}.${suggest(flag, [...known.keys()], "The flags are")} (${helpFor})`
    }
    seen.add(flag)
    const value = known.get(flag)
    if (value === undefined) continue
    const given = arg.includes("=") ? arg.slice(flag.length + 1) : args[++i]
    if (given === undefined || (given.startsWith("--") && !arg.includes("="))) {
      return `${flag} needs a value, as in ${flag} ${value} (${helpFor})`
    }
    if (flag === "--completions" && !shells.includes(given)) {
      return `--completions is "${given}" but must be one of ${shells.join(", ")}`
    }
  }
  if (name === undefined || command === undefined || [...everywhere.keys()].some((flag) => seen.has(flag))) {
    return undefined
  }
  return placeFault(name, command, placed.slice(1), seen)
}

/** What is missing, or too much. */
const placeFault = (
  name: string,
  { flags, neededFlags, places }: Arguments,
  placed: ReadonlyArray<string>,
  seen: ReadonlySet<string>
): string | undefined => {
  const helpFor = `"warmroute ${name} --help" says what it takes`
  const extra = placed[places.length]
  if (extra !== undefined) return `${name} has no use for "${extra}" (${helpFor})`
  const missing = [
    ...places.slice(placed.length),
    ...neededFlags.filter((flag) => !seen.has(flag)).map((flag) => `${flag} ${flags.get(flag)}`)
  ]
  return missing.length === 0 ? undefined : `${name} needs ${missing.join(" and ")} (${helpFor})`
}

const suggest = (name: string, known: ReadonlyArray<string>, list: string): string => {
  const near = didYouMean(name, known)
  return near === undefined ? ` ${list}: ${known.join(", ")}` : ` Did you mean ${near}?`
}
