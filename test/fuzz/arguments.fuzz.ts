import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { argumentFault } from "../../src/cli/argumentFault.ts"
import { inheritedNames, plan, propertyTimeoutMs } from "./fuzz.ts"

const words = fc.oneof(
  fc.constantFrom(
    "serve",
    "simulate",
    "plan",
    "key",
    "serv",
    "--pods",
    "--pods=http://a:1",
    "--port",
    "8080",
    "--prot",
    "--json",
    "--help",
    "-h",
    "-",
    "--",
    "--=",
    "=",
    "",
    ...inheritedNames,
    ...inheritedNames.map((name) => `--${name}`)
  ),
  fc.string({ maxLength: 20 })
)

describe("a command line of any words", () => {
  test("is in order, or one sentence says what is wrong with which word", () => {
    fc.assert(
      fc.property(fc.array(words, { maxLength: 6 }), (args) => {
        const fault = argumentFault(args)
        if (fault === undefined) return
        expect(fault).toMatch(/^there is no (?:command|flag) |needs a value| has no use for | needs /s)
        const named = args.some((arg) => fault.includes(arg.split("=")[0] ?? arg))
        expect(named).toBe(true)
      }),
      plan("arguments")
    )
  }, propertyTimeoutMs)

  test.each(inheritedNames)("has no command %s", (name) => {
    expect(argumentFault([name])).toContain(`there is no command "${name}"`)
  })
})
