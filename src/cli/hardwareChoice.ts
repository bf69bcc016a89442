import { Effect, Either, ParseResult, Schema } from "effect"
import { type Hardware, HardwareSection } from "../../config/hardware.ts"
import { yamlSource } from "../../config/yamlSource.ts"
import { hardwarePresets } from "../core/hardwarePresets.ts"
import { CommandFailure } from "./failure.ts"
import { readNamed } from "./namedFile.ts"

/** What `warmroute calibrate` writes, or a gateway's whole configuration. */
const isFile = (text: string): boolean => /\.ya?ml$/i.test(text)

/** Engine constants by a preset's name, or of the `hardware` setting in a YAML file. `command` is for messages. */
export const hardwareChoice = (command: string, text: string): Effect.Effect<Hardware, CommandFailure> =>
  Effect.gen(function*() {
    const fail = (reason: string) => Effect.fail(new CommandFailure({ message: `warmroute ${command}: ${reason}` }))
    const constants = hardwarePresets[text]
    if (constants !== undefined) return { preset: text, constants }
    if (!isFile(text)) {
      return yield* fail(
        `no hardware "${text}"; there are: ${Object.keys(hardwarePresets).join(", ")}, or a YAML file from calibrate`
      )
    }
    const source = yamlSource(text, yield* readNamed(command, text))
    if (Either.isLeft(source)) return yield* fail(source.left.render())
    const section = source.right.values["hardware"]
    if (section === undefined) return yield* fail(`${text} has no setting hardware, as calibrate writes it`)
    const written = typeof section === "string" ? { preset: section } : section
    const decoded = Schema.decodeUnknownEither(HardwareSection, { onExcessProperty: "error" })(written)
    if (Either.isRight(decoded)) return { preset: text, constants: decoded.right.constants }
    const [issue] = ParseResult.ArrayFormatter.formatErrorSync(decoded.left)
    const line = source.right.placeOf?.(["hardware", ...(issue?.path ?? []).map(String)])
    return yield* fail(
      `${text}${line === undefined ? "" : `:${line}`}: hardware${
        issue?.path.map((key) => `.${String(key)}`).join("") ?? ""
      }: ${issue?.message}`
    )
  })
