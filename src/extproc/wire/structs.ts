import { ListValue, Struct, Value } from "./envoyFields.ts"
import type { FrameWriter } from "./FrameWriter.ts"
import { MalformedMessage, type ProtoReader } from "./ProtoReader.ts"

/** What a `google.protobuf.Value` may hold. */
export type StructValue = null | number | string | boolean | StructObject | ReadonlyArray<StructValue>
export type StructObject = ReadonlyMap<string, StructValue>

/** A map's entries are messages of these two fields in every protobuf. */
export const mapEntry = { key: 1, value: 2 } as const

const depthMax = 32

/** Reads a `google.protobuf.Struct` that the reader has entered. */
export const readStruct = (reader: ProtoReader, depth = 0): StructObject => {
  if (depth > depthMax) throw new MalformedMessage(`metadata is nested deeper than ${depthMax} levels`)
  const fields = new Map<string, StructValue>()
  while (reader.next()) {
    if (reader.field !== Struct.fields) {
      reader.skip()
      continue
    }
    const mark = reader.enter()
    let key = ""
    let value: StructValue = null
    while (reader.next()) {
      if (reader.field === mapEntry.key) key = reader.text()
      else if (reader.field === mapEntry.value) value = nested(reader, (inner) => readValue(inner, depth + 1))
      else reader.skip()
    }
    reader.leave(mark)
    fields.set(key, value)
  }
  return fields
}

const readValue = (reader: ProtoReader, depth: number): StructValue => {
  let value: StructValue = null
  while (reader.next()) {
    switch (reader.field) {
      case Value.number_value:
        value = reader.double()
        break
      case Value.string_value:
        value = reader.text()
        break
      case Value.bool_value:
        value = reader.bool()
        break
      case Value.struct_value:
        value = nested(reader, (inner) => readStruct(inner, depth + 1))
        break
      case Value.list_value:
        value = nested(reader, (inner) => readList(inner, depth + 1))
        break
      default:
        reader.skip()
    }
  }
  return value
}

const readList = (reader: ProtoReader, depth: number): ReadonlyArray<StructValue> => {
  if (depth > depthMax) throw new MalformedMessage(`metadata is nested deeper than ${depthMax} levels`)
  const values: Array<StructValue> = []
  while (reader.next()) {
    if (reader.field === ListValue.values) values.push(nested(reader, (inner) => readValue(inner, depth + 1)))
    else reader.skip()
  }
  return values
}

const nested = <A>(reader: ProtoReader, read: (reader: ProtoReader) => A): A => {
  const mark = reader.enter()
  const value = read(reader)
  reader.leave(mark)
  return value
}

/** Writes a `Struct` field that holds texts, one level under the key `namespace`. */
export const namespacedTexts = (
  writer: FrameWriter,
  field: number,
  namespace: string,
  texts: Readonly<Record<string, string>>
): void => {
  const before = writer.size
  for (const key in texts) {
    const beforeEntry = writer.size
    writer.text(Value.string_value, texts[key] ?? "")
    closeEntry(writer, key, beforeEntry)
  }
  writer.message(Value.struct_value, before)
  closeEntry(writer, namespace, before)
  writer.message(field, before)
}

/** Makes the value that was just written an entry of the map in a `Struct`. */
const closeEntry = (writer: FrameWriter, key: string, before: number): void => {
  writer.message(mapEntry.value, before)
  writer.text(mapEntry.key, key)
  writer.message(Struct.fields, before)
}
