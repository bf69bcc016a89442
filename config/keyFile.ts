import { Either, ParseResult, Schema } from "effect"
import type { ClientKey } from "../src/http/doors/clientKey.ts"
import { clientKey, KeyList } from "./doorsSection.ts"
import { readTextOf } from "./settingFile.ts"
import { yamlValue } from "./yamlSource.ts"

const decodeKeys = Schema.decodeUnknownEither(KeyList, { onExcessProperty: "error" })

const keyFields: ReadonlySet<string> = new Set(Object.keys(KeyList.from.value.fields))

/**
 * Keys of the file that `auth.keysPath` names, none of which may be one of `others`. Rejects with an Error that names file,
 * line and entry and never repeats what is there: it may be a key.
 */
export const readKeyFile = async (
  path: string,
  others: ReadonlyArray<ClientKey>,
  bytesMax: number
): Promise<ReadonlyArray<ClientKey>> => {
  const text = await readTextOf("auth.keysPath", path, bytesMax)
  if (text.trim() === "") throw wrong(path, undefined, "is empty; write [] for no keys, or entries of `warmroute key`")
  const read = yamlValue(path, text)
  if (Either.isLeft(read)) {
    // Its problem may quote the line.
    const [issue] = read.left.issues
    throw new Error(`auth.keysPath: ${issue?.source ?? path} is not YAML; \`warmroute key\` prints entries that are`)
  }
  const { placeOf, value } = read.right
  const at = (keyPath: ReadonlyArray<PropertyKey>): string | undefined => placeOf(keyPath.map(String))
  if (!Array.isArray(value)) {
    throw wrong(
      path,
      undefined,
      "is no list; each key is an entry that begins with \"- name:\", as `warmroute key` prints it"
    )
  }
  const decoded = decodeKeys(value)
  if (Either.isLeft(decoded)) {
    const [issue] = ParseResult.ArrayFormatter.formatErrorSync(decoded.left)
    throw issue === undefined
      ? wrong(path, undefined, "is no list of keys")
      : wrong(path, at(issue.path), entryFault(issue))
  }
  const keys = decoded.right.map(clientKey)
  const twice = keys.findIndex(({ name, sha256 }) => others.some((key) => key.name === name || key.sha256 === sha256))
  if (twice >= 0) {
    throw wrong(path, at([twice]), `the key "${keys[twice]?.name}" is one of auth.keys already; remove one`)
  }
  return keys
}

/** An entry's fault begins behind a colon, the file's own is about the file. */
const wrong = (path: string, place: string | undefined, why: string): Error => {
  const where = place === undefined ? path : `${path}:${place}`
  return new Error(`auth.keysPath: ${where}${why.startsWith("is ") ? "" : ":"} ${why}`)
}

const entryFault = ({ _tag, message, path }: ParseResult.ArrayFormatterIssue): string => {
  // A field of another name may be a key as well.
  if (_tag === "Unexpected") return `${entryOf(path.slice(0, 1))} has a setting that keys don't have (${fieldsText})`
  if (_tag === "Missing") return `${entryOf(path)} is missing; \`warmroute key\` prints the whole entry`
  const expected = /^Expected (.*), actual /s.exec(message)?.[1]
  return `${entryOf(path)} ${expected === undefined ? message : `must be ${plain(expected)}`}`
}

/** The types of the schema in the words of YAML. */
const plain = (expected: string): string => {
  if (expected.startsWith("{")) return "an entry with name and hash"
  if (expected.startsWith("ReadonlyArray")) return "a list of names"
  return expected === "string" ? "text; quote it" : expected === "number" ? "a number" : expected
}

const fieldsText = [...keyFields].join(", ")

/** `[0].models[1]` */
const entryOf = (path: ReadonlyArray<PropertyKey>): string =>
  path.map((key) => typeof key === "number" ? `[${key}]` : `.${String(key)}`).join("")
