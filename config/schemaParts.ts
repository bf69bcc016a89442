import { type Either, ParseResult, Schema, type SchemaAST } from "effect"
import { didYouMean } from "./didYouMean.ts"

/** A setting with the value it has when nobody writes it. */
export const setting = <A, I>(schema: Schema.Schema<A, I>, fallback: A) =>
  Schema.optionalWith(schema, { exact: true, default: () => fallback })

/** A setting that may be left out and then stands for nothing. */
export const perhaps = <A, I>(schema: Schema.Schema<A, I>) => Schema.optionalWith(schema, { exact: true })

/** Settings under one name; when none of them is written, each has its default. */
export const section = <A, I>(struct: Schema.Schema<A, I>) =>
  Schema.optionalWith(struct, { exact: true, default: () => Schema.decodeUnknownSync(struct)({}) })

/** A whole number from `least` to `most`. */
export const count = (least: number, most: number) => Schema.Int.pipe(Schema.between(least, most))

/** Decodes by a function that gives a reason in words when it can't. The decoded form is written back by `encode`. */
export const reading = <A, B, I>(
  from: Schema.Schema<B, I>,
  decode: (value: B) => Either.Either<A, string>,
  encode: (value: A) => B
): Schema.Schema<A, I> =>
  Schema.transformOrFail(from, Schema.declare((_input: unknown): _input is A => true), {
    strict: true,
    decode: (value, _options, ast) => orReason(decode(value), ast, value),
    encode: (value) => ParseResult.succeed(encode(value))
  })

const orReason = <A>(made: Either.Either<A, string>, ast: SchemaAST.AST, actual: unknown) =>
  ParseResult.mapError(made, (why) => new ParseResult.Type(ast, actual, why))

/** What to say of a name that is not among those there are. */
export const unknownName = (kind: string, given: unknown, names: ReadonlyArray<string>): string => {
  const name = typeof given === "string" ? given : JSON.stringify(given)
  const near = didYouMean(name, names)
  return `there is no ${kind} "${name}"${near === undefined ? "" : `, did you mean "${near}"?`} (there are: ${
    names.join(", ")
  })`
}
