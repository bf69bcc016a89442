const DELIMITED = 2

/** A protobuf message as its fields, still in pieces; `messageBytes` joins them. */
export type Pieces = ReadonlyArray<Uint8Array>

const varint = (value: number): Uint8Array => {
  const bytes: Array<number> = []
  let left = value
  while (left >= 128) {
    bytes.push((left % 128) + 128)
    left = Math.floor(left / 128)
  }
  bytes.push(left)
  return Uint8Array.from(bytes)
}

/** Tag and length in front of `length` bytes. */
const opening = (field: number, length: number): Uint8Array => {
  // Most fields and lengths fit into one byte each.
  if (field < 16 && length < 128) return Uint8Array.of(field * 8 + DELIMITED, length)
  return Buffer.concat([varint(field * 8 + DELIMITED), varint(length)])
}

export const bytesField = (field: number, bytes: Uint8Array): Pieces => [opening(field, bytes.byteLength), bytes]

export const textField = (field: number, text: string): Pieces => bytesField(field, Buffer.from(text))

export const numberField = (field: number, value: number): Pieces => [varint(field * 8), varint(value)]

export const boolField = (field: number, value: boolean): Pieces => numberField(field, value ? 1 : 0)

/** A nested message out of its fields. */
export const messageField = (field: number, ...fields: ReadonlyArray<Pieces>): Pieces => {
  const pieces = fields.flat()
  return [opening(field, pieces.reduce((bytes, piece) => bytes + piece.byteLength, 0)), ...pieces]
}

export const messageBytes = (...fields: ReadonlyArray<Pieces>): Buffer => Buffer.concat(fields.flat())
