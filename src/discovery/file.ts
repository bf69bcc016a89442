import { Effect, Ref, Stream } from "effect"
import type { PodAddress } from "../core/Pod.ts"
import type { Discovery } from "./Discovery.ts"
import { fileChanges } from "./fileChanges.ts"
import { faultOfList, lastGood, pulses } from "./lastGood.ts"
import { readPlainFile, whyUnread } from "./plainFile.ts"
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

/** Between two looks at the file. */
interface Looks {
  /** What was last said of entries that were left out, to say it once. */
  readonly skipped: Ref.Ref<string>
  /** The file that was read last with success, since to parse a long list again holds every stream up. */
  readonly good: Ref.Ref<Good | undefined>
}

interface Good {
  readonly text: string
  readonly pods: ReadonlyArray<PodAddress>
}

const readPods = (
  options: FileDiscoveryOptions,
  { good, skipped }: Looks
): Effect.Effect<ReadonlyArray<PodAddress>, string> =>
  Effect.gen(function*() {
    const text = yield* Effect.tryPromise({
      try: () => readPlainFile(options.path, options.fileBytesMax),
      catch: whyUnread
    })
    const before = yield* Ref.get(good)
    if (before?.text === text) return before.pods
    const read = yield* parsePodFile(text, options.path.endsWith(".json"))
    const { pods } = read
    const left = read.skipped.slice(0, SKIPPED_LOGGED_MAX).join("; ")
    if (left !== (yield* Ref.getAndSet(skipped, left)) && left !== "") {
      const more = Math.max(0, read.skipped.length - SKIPPED_LOGGED_MAX)
      const others = more === 0 ? "" : `; and ${more} more`
      yield* Effect.logWarning(`discovery: ${options.path}: these entries are left out: ${left}${others}`)
    }
    const fault = faultOfList(pods, options.podsMax)
    if (fault !== undefined) return yield* Effect.fail(fault)
    yield* Ref.set(good, { text, pods })
    return pods
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
      Effect.map(
        Effect.all({ skipped: Ref.make(""), good: Ref.make<Good | undefined>(undefined) }),
        (looks) =>
          lastGood(
            options.path,
            Stream.merge(pulses(options.pollMs), fileChanges(options.path, options.settleMs)),
            readPods(options, looks)
          )
      )
    )
  }
}
