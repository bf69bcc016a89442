#!/usr/bin/env bun
import { type Bench, type BenchOptions, WrongOption } from "./Bench.ts"

/** Imported only when asked for, so that a bench that needs Go or Python does not stand in the way of the others. */
const benches: Readonly<Record<string, () => Promise<Bench>>> = {
  chaos: () => import("./chaos.ts"),
  extproc: () => import("./extproc.ts"),
  headline: () => import("./headline.ts"),
  kubernetes: () => import("./kubernetes.ts"),
  overload: () => import("./overload.ts"),
  policies: () => import("./policies.ts"),
  pick: () => import("./pick.ts"),
  proxy: () => import("./proxy.ts"),
  restart: () => import("./restart.ts"),
  soak: () => import("./soak.ts")
}

const list = async (): Promise<string> => {
  const lines = ["Usage: bun run bench NAME [--quick] [--json] [options of the bench]", ""]
  for (const load of Object.values(benches)) {
    const bench = await load()
    lines.push(`  ${bench.name.padEnd(10)}${bench.claim}`)
  }
  return lines.join("\n")
}

const main = async (argv: ReadonlyArray<string>): Promise<number> => {
  const name = argv.find((argument) => !argument.startsWith("-"))
  const load = name === undefined ? undefined : benches[name]
  if (load === undefined) {
    if (name !== undefined) console.error(`There is no bench named "${name}".\n`)
    console.log(await list())
    return name === undefined ? 0 : 2
  }
  const own = new Set([name, "--json", "--quick"])
  const options: BenchOptions = {
    quick: argv.includes("--quick"),
    progress: (line) => console.error(line),
    args: argv.filter((argument) => !own.has(argument))
  }
  const bench = await load()
  options.progress(`${bench.name}: ${bench.claim}`)
  const result = await bench.run(options)
  const text = argv.includes("--json") ? JSON.stringify(result) : bench.show?.(result as never)
  console.log(text ?? JSON.stringify(result, null, 2))
  return 0
}

const status = await main(process.argv.slice(2)).catch((cause: unknown) => {
  if (!(cause instanceof WrongOption)) throw cause
  console.error(cause.message)
  return 2
})
process.exit(status)
