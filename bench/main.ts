#!/usr/bin/env bun
import type { Bench } from "./Bench.ts"
import { commonFlags, flagLines, flagValues, WrongOption } from "./flags.ts"

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
  const lines = ["Usage: bun run bench NAME [--quick] [--json] [options of the bench; NAME --help lists them]", ""]
  for (const load of Object.values(benches)) {
    const bench = await load()
    lines.push(`  ${bench.name.padEnd(12)}${bench.claim}`)
  }
  return lines.join("\n")
}

const helpOf = ({ claim, flags, name }: Bench): string =>
  [`Usage: bun run bench ${name} [options]`, "", claim, "", ...flagLines({ ...flags, ...commonFlags })].join("\n")

const main = async (argv: ReadonlyArray<string>): Promise<number> => {
  const [name, ...args] = argv
  const load = name !== undefined && Object.hasOwn(benches, name) ? benches[name] : undefined
  if (load === undefined) {
    const asksForList = name === undefined || name === "--help"
    if (!asksForList) console.error(`There is no bench named "${name}".\n`)
    console.log(await list())
    return asksForList ? 0 : 2
  }
  const bench = await load()
  const { help, json, quick = false, ...values } = flagValues(args, {
    ...bench.flags,
    ...commonFlags
  })
  if (help === true) {
    console.log(helpOf(bench))
    return 0
  }
  const progress = (line: string): void => console.error(line)
  progress(`${bench.name}: ${bench.claim}`)
  const result = await bench.run({ quick, progress, values: values as never })
  const text = json === true ? JSON.stringify(result) : bench.show?.(result as never)
  console.log(text ?? JSON.stringify(result, null, 2))
  const broken = bench.broken?.(result as never, { quick }) ?? []
  for (const line of broken) progress(`BROKEN: ${line}`)
  return broken.length === 0 ? 0 : 1
}

const status = await main(process.argv.slice(2)).catch((cause: unknown) => {
  if (!(cause instanceof WrongOption)) throw cause
  console.error(cause.message)
  return 2
})
process.exit(status)
