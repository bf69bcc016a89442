import { Effect, Ref, Stream } from "effect"
import { open, stat } from "node:fs/promises"
import type { PodAddress } from "../core/Pod.ts"
import type { Discovery } from "./Discovery.ts"
import { fileChanges } from "./fileChanges.ts"
import { faultOfList, lastGood, pulses } from "./lastGood.ts"
import { parsePodFile } from "./podFile.ts"

export interface FileDiscoveryOptions {
  /** A name that ends in .json is read as JSON, every other as YAML. */
  readonly path: string
  /** How often the file is looked at where the system doesn't tell of changes (network mounts, symlinked ConfigMaps). */
  readonly pollMs: number
  /** Changes closer together than this are read once. */
  readonly settleMs: number
  readonly fileBytesMax: number
  readonly podsMax: number
}

const fileDiscoveryDefaults: Omit<FileDiscoveryOptions, "path"> = {
  pollMs: 5000,
  settleMs: 50,
  fileBytesMax: 1024 * 1024,
  podsMax: 4096
}

/** Up to the limit, even of a file that grows while it is read. */
const readText = async (path: string, bytesMax: number): Promise<string> => {
  // Opening a pipe would wait for its writer, so only a plain file is opened.
  if (!(await stat(path)).isFile()) throw new Error("is not a plain file")
  const file = await open(path)
  try {
    const bytes = new Uint8Array(bytesMax + 1)
    let length = 0
    for (;;) {
      const { bytesRead } = await file.read(bytes, length, bytes.length - length)
      if (bytesRead === 0) break
      length += bytesRead
      if (length > bytesMax) throw new Error(`is longer than ${bytesMax} bytes`)
    }
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, length))
  } finally {
    await file.close()
  }
}

const whyUnread = (cause: unknown): string => {
  if (cause instanceof TypeError) return "is not UTF-8 text"
  const { code, message } = cause as NodeJS.ErrnoException
  if (code === "ENOENT") return "does not exist"
  if (code === "EACCES") return "may not be read by this user"
  return message
}

/** Reads the file; `skipped` holds what was last said of its entries that were left out, to say it once. */
const readPods = (
  options: FileDiscoveryOptions,
  skipped: Ref.Ref<string>
): Effect.Effect<ReadonlyArray<PodAddress>, string> =>
  Effect.gen(function*() {
    const text = yield* Effect.tryPromise({ try: () => readText(options.path, options.fileBytesMax), catch: whyUnread })
    const read = yield* parsePodFile(text, options.path.endsWith(".json"))
    const { pods } = read
    const left = read.skipped.slice(0, SKIPPED_LOGGED_MAX).join("; ")
    if (left !== (yield* Ref.getAndSet(skipped, left)) && left !== "") {
      yield* Effect.logWarning(`discovery: ${options.path}: ${read.skipped.length} entries are left out: ${left}`)
    }
    const fault = faultOfList(pods, options.podsMax)
    return fault === undefined ? pods : yield* Effect.fail(fault)
  })

/** Entries that one line of the log names. */
const SKIPPED_LOGGED_MAX = 8

/** Pods from a watched file. A bad file is a warning with file and line or entry, and the last good list stands. */
export const fileDiscovery = (
  given: Pick<FileDiscoveryOptions, "path"> & Partial<FileDiscoveryOptions>
): Discovery => {
  const options = { ...fileDiscoveryDefaults, ...given }
  return {
    name: `file ${options.path}`,
    addresses: Stream.unwrap(
      Effect.map(Ref.make(""), (skipped) =>
        lastGood(
          options.path,
          Stream.merge(pulses(options.pollMs), fileChanges(options.path, options.settleMs)),
          readPods(options, skipped)
        ))
    )
  }
}
