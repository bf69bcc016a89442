import { createFileRegistry, type DescEnum, type DescMessage, fromBinary } from "@bufbuild/protobuf"
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt"
import { readFileSync } from "node:fs"

const descriptors = readFileSync(new URL("ext_proc.binpb", import.meta.url))

/** Envoy's published types of an external processor; `descriptors.py` says where they come from. */
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, descriptors))

export const messageType = (name: string): DescMessage => {
  const found = registry.getMessage(name)
  if (found === undefined) throw new Error(`ext_proc.binpb has no message ${name}`)
  return found
}

export const enumType = (name: string): DescEnum => {
  const found = registry.getEnum(name)
  if (found === undefined) throw new Error(`ext_proc.binpb has no enum ${name}`)
  return found
}
