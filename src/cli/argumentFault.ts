import { didYouMean } from "../../config/didYouMean.ts"

/** Flags that take a value, then those that stand alone. */
interface KnownFlags {
  readonly valued: ReadonlyArray<string>
  readonly plain: ReadonlyArray<string>
}

const everywhere: KnownFlags = {
  valued: ["--completions"],
  plain: ["--help", "-h", "--version", "--wizard"]
}

const commands: Readonly<Record<string, KnownFlags>> = {
  serve: {
    valued: ["--pods", "--config", "--listen", "--port", "--policy", "--hardware", "--snapshot", "--log-level"],
    plain: ["--insecure"]
  },
  emulate: { valued: ["--pods", "--port", "--host", "--hardware", "--speed", "--model"], plain: [] },
  explain: { valued: ["--admin", "--file", "--prompt", "--model"], plain: ["--json"] },
  key: { valued: ["--name"], plain: ["--stdin"] },
  check: { valued: [], plain: ["--offline"] },
  calibrate: { valued: ["--pod", "--model", "--out", "--within"], plain: ["--force", "--json"] },
  plan: {
    valued: [
      "--trace",
      "--format",
      "--time-scale",
      "--workload",
      "--load",
      "--duration",
      "--hardware",
      "--gpus",
      "--slo",
      "--share",
      "--policy",
      "--pods-max",
      "--seed",
      "--threads",
      "--html"
    ],
    plain: ["--json"]
  },
  simulate: {
    valued: [
      "--workload",
      "--trace",
      "--format",
      "--load",
      "--duration",
      "--policy",
      "--seed",
      "--pods",
      "--hardware",
      "--fleet",
      "--replay"
    ],
    plain: ["--json"]
  }
}

/** What is wrong with a flag, in words; the parser itself knows no near names and takes a flag without value for unknown. */
export const argumentFault = (args: ReadonlyArray<string>): string | undefined => {
  const name = args.find((arg) => !arg.startsWith("-"))
  const command = name !== undefined && Object.hasOwn(commands, name) ? commands[name] : undefined
  if (name !== undefined && command === undefined && args[0] === name) {
    return `there is no command "${name}".${suggest(name, Object.keys(commands), "The commands are")}`
  }
  const valued = [...everywhere.valued, ...command?.valued ?? []]
  const known = [...valued, ...everywhere.plain, ...command?.plain ?? []]
  const helpFor = `"warmroute ${command === undefined ? "" : `${name} `}--help" lists them`
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? ""
    if (arg === "--") return undefined
    if (!arg.startsWith("--")) continue
    const [flag = arg] = arg.split("=")
    if (!known.includes(flag)) return `there is no flag ${flag}.${suggest(flag, known, "The flags are")} (${helpFor})`
    if (!valued.includes(flag) || arg.includes("=")) continue
    const value = args[++i]
    if (value === undefined || value.startsWith("--")) return `${flag} needs a value, as in ${flag} VALUE (${helpFor})`
  }
  return undefined
}

const suggest = (name: string, known: ReadonlyArray<string>, list: string): string => {
  const near = didYouMean(name, known)
  return near === undefined ? ` ${list}: ${known.join(", ")}` : ` Did you mean ${near}?`
}
