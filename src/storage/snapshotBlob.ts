import { Either, Schema } from "effect"
import { Packr } from "msgpackr"
import type { MetaRecord, PodRecord } from "./SnapshotStore.ts"

/** Of the blobs; one of another format is dropped, since a cold pod costs less than a wrong sketch. */
const format = 1

const Count = Schema.Int.pipe(Schema.nonNegative())

const PodBlob = Schema.Struct({
  format: Schema.Literal(format),
  id: Schema.NonEmptyString,
  savedAtMs: Schema.Finite,
  sketch: Schema.Struct({
    id: Schema.String,
    blockSizeTokens: Count,
    kvCapacityTokens: Count,
    blocks: Schema.Uint8ArrayFromSelf
  }),
  lastState: Schema.Struct({
    processStartS: Schema.optional(Schema.Finite),
    models: Schema.Array(Schema.String)
  })
})

const MetaBlob = Schema.Struct({
  format: Schema.Literal(format),
  outputTokensByModel: Schema.Record({ key: Schema.String, value: Schema.Finite.pipe(Schema.nonNegative()) })
})

const decodePod = Schema.decodeUnknownEither(PodBlob)
const decodeMeta = Schema.decodeUnknownEither(MetaBlob)

// Plain maps, so that each blob is read without what the packer learned from others.
const packr = new Packr({ useRecords: false })

const unpack = (bytes: Uint8Array): unknown => {
  try {
    return packr.unpack(bytes)
  } catch {
    return undefined
  }
}

/** The packer hands out a view of its own buffer; a copy may be handed to another thread. */
const pack = (value: unknown): Uint8Array<ArrayBuffer> => new Uint8Array(packr.pack(value))

export const packPod = (pod: PodRecord): Uint8Array<ArrayBuffer> => pack({ format, ...pod })

/** undefined for bytes that are no record of `id`. */
export const unpackPod = (id: string, bytes: Uint8Array): PodRecord | undefined => {
  const decoded = decodePod(unpack(bytes))
  if (Either.isLeft(decoded) || decoded.right.id !== id) return undefined
  const { lastState, savedAtMs, sketch } = decoded.right
  // The packer hands out a view, which would keep the whole blob alive.
  return { id, savedAtMs, sketch: { ...sketch, blocks: new Uint8Array(sketch.blocks) }, lastState }
}

export const packMeta = (meta: MetaRecord): Uint8Array<ArrayBuffer> => pack({ format, ...meta })

export const unpackMeta = (bytes: Uint8Array): MetaRecord | undefined => {
  const decoded = decodeMeta(unpack(bytes))
  return Either.isLeft(decoded) ? undefined : { outputTokensByModel: decoded.right.outputTokensByModel }
}
