import { FastCheck as fc } from "effect"

/** Cases that one plain run must execute by target; `FUZZ_RUNS` multiplies them. */
export const cases = {
  responseParser: 24_000,
  podSockets: 1_200,
  events: 14_000,
  bodies: 20_000,
  requestHeads: 8_000,
  clientSockets: 9_000,
  clientBodies: 3_000,
  metricsText: 14_000,
  yaml: 2_400,
  llmdConfig: 1_200,
  settings: 2_000,
  snapshots: 9_000,
  snapshotFiles: 600,
  dns: 2_500,
  podFiles: 10_000,
  clusterObjects: 12_000,
  clusterLines: 3_000,
  kubeconfig: 500,
  extproc: 14_000,
  traces: 10_000,
  arguments: 4_000,
  keyFiles: 1_200
} as const

const numberIn = (variable: string, otherwise: number): number => {
  const value = Number(process.env[variable] ?? "")
  return Number.isInteger(value) && value > 0 ? value : otherwise
}

const seed = numberIn("FUZZ_SEED", 1 + Math.floor(Math.random() * 0x7fff_fffe))
const factor = numberIn("FUZZ_RUNS", 1)
console.log(`fuzz: FUZZ_SEED=${seed} FUZZ_RUNS=${factor} repeats these cases`)

type Target = keyof typeof cases
/** Cases that have been executed. */
const executed = new Map<Target, number>()

const ran = (target: Target, count: number): void => void executed.set(target, casesRun(target) + count)

export const casesRun = (target: Target): number => executed.get(target) ?? 0

/** What a target must have executed by the end of a run. */
export const casesWanted = (target: Target): number => cases[target] * factor

/** How FastCheck goes about one property of a target, of whose cases it takes this share. */
export const plan = <Ts>(target: Target, share = 1): fc.Parameters<Ts> => ({
  seed,
  numRuns: Math.ceil(cases[target] * share) * factor,
  reporter: (details) => {
    ran(target, details.numRuns)
    if (details.failed) throw new Error(fc.defaultReportMessage(details), { cause: details.errorInstance })
  }
})

/** Runs a property of many cases at once, `atOnceMax` at most, until the target has all that it promises. */
export const assertBatches = <A>(
  target: Target,
  atOnceMax: number,
  arbitrary: fc.Arbitrary<A>,
  property: (all: ReadonlyArray<A>) => Promise<void>
): Promise<void> =>
  fc.assert(
    fc.asyncProperty(fc.array(arbitrary, { minLength: 1, maxLength: atOnceMax, size: "max" }), async (all) => {
      if (casesRun(target) >= casesWanted(target)) return
      await property(all)
      ran(target, all.length)
    }),
    {
      seed,
      // A batch is less than half full on average.
      numRuns: Math.ceil((4 * casesWanted(target)) / atOnceMax),
      // A hang is found again with each smaller batch, and the smallest so far has to be told.
      interruptAfterTimeLimit: propertyTimeoutMs - 25_000,
      markInterruptAsFailure: true
    }
  )

/** Long enough for a property of many cases on a slow machine. */
export const propertyTimeoutMs = 120_000 * factor

/** Names that every JavaScript object seems to have. */
export const inheritedNames = ["__proto__", "constructor", "toString", "valueOf", "hasOwnProperty", "toJSON"] as const

/** What has a meaning in YAML. */
export const yamlWords = [
  ": ",
  "- ",
  "\n",
  "  ",
  "? ",
  "[",
  "]",
  "{",
  "}",
  "&a ",
  "*a",
  "<<: *a",
  "!!binary ",
  "!!set ",
  "|\n",
  "---\n",
  "%YAML 1.1\n",
  "\t"
] as const

type Edit =
  | { readonly kind: "replace"; readonly at: number; readonly bytes: Uint8Array }
  | { readonly kind: "insert"; readonly at: number; readonly bytes: Uint8Array }
  | { readonly kind: "delete" | "repeat"; readonly at: number; readonly length: number }
  | { readonly kind: "cut"; readonly at: number }

const editArb = (words: ReadonlyArray<string>): fc.Arbitrary<Edit> => {
  const at = fc.nat(1_000_000)
  const bytes = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 4 }),
    fc.constantFrom(...words).map((word) => new Uint8Array(Buffer.from(word)))
  )
  return fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ kind: fc.constantFrom("replace" as const, "insert" as const), at, bytes }) as fc.Arbitrary<
        Edit
      >
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constantFrom("delete" as const, "repeat" as const),
        at,
        length: fc.integer({ min: 1, max: 40 })
      })
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("cut" as const), at }) }
  )
}

const edited = (bytes: Uint8Array, edit: Edit): Uint8Array => {
  const at = edit.at % (bytes.length + 1)
  const before = bytes.subarray(0, at)
  if (edit.kind === "cut") return before
  if (edit.kind === "insert") return Buffer.concat([before, edit.bytes, bytes.subarray(at)])
  if (edit.kind === "replace") return Buffer.concat([before, edit.bytes, bytes.subarray(at + edit.bytes.length)])
  if (edit.kind === "delete") return Buffer.concat([before, bytes.subarray(at + edit.length)])
  return Buffer.concat([before, bytes.subarray(at, at + edit.length), bytes.subarray(at)])
}

/** One of the samples with a few bytes changed, put in, doubled or lost; `words` are put in whole. */
export const mutated = (samples: ReadonlyArray<Uint8Array>, words: ReadonlyArray<string>): fc.Arbitrary<Uint8Array> =>
  fc.tuple(fc.constantFrom(...samples), fc.array(editArb(words), { maxLength: 6 })).map(
    ([sample, edits]) => edits.reduce(edited, sample)
  )

/** As `mutated`; now and then bytes that never were a sample. */
export const hostileBytes = (samples: ReadonlyArray<Uint8Array>, words: ReadonlyArray<string>) =>
  fc.oneof(
    { weight: 8, arbitrary: mutated(samples, words) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }) },
    {
      weight: 1,
      arbitrary: fc.array(fc.constantFrom(...words), { maxLength: 30 }).map((all) =>
        new Uint8Array(Buffer.from(all.join("")))
      )
    }
  )

/** The same for text. */
export const hostileText = (samples: ReadonlyArray<string>, words: ReadonlyArray<string>): fc.Arbitrary<string> =>
  hostileBytes(samples.map((sample) => new Uint8Array(Buffer.from(sample))), words).map((bytes) =>
    Buffer.from(bytes).toString()
  )

/** JSON texts where another value was expected. */
const hostileJson: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom("null", "true", "0", "-1", "1e400", "-0.5", "\"\"", "[]", "{}", "[[]]", "[null]", "{\"a\":{}}"),
  fc.constantFrom(...inheritedNames).map((name) => `{"${name}":{"a":1}}`),
  fc.constantFrom(...inheritedNames).map((name) => `{"${name}":null}`),
  fc.constantFrom(20, 200).map((depth) => `${"[".repeat(depth)}${"]".repeat(depth)}`),
  fc.string({ maxLength: 20 }).map((text) => JSON.stringify(text)),
  fc.constantFrom("\"\\ud800\\u0000\\u0001\"", "[{\"type\":\"text\",\"text\":7},[[\"a\"]],null]", "{\"\":{\"url\":[]}}")
)

interface Graft {
  readonly at: number
  readonly name: string
  /** JSON. */
  readonly value: string
  readonly adds: boolean
}

/** Every object and list inside a value, itself first. */
const holders = (value: unknown): ReadonlyArray<Record<string, unknown>> =>
  typeof value === "object" && value !== null
    ? [value as Record<string, unknown>, ...Object.values(value).flatMap(holders)]
    : []

const grafted = (text: string, { adds, at, name, value }: Graft): string => {
  const root: unknown = JSON.parse(text)
  const all = holders(root)
  const holder = all[at % Math.max(1, all.length)]
  if (holder === undefined) return value
  const keys = Object.keys(holder)
  const key = adds ? name : keys[at % Math.max(1, keys.length)] ?? name
  const planted = { value: JSON.parse(value), enumerable: true, writable: true, configurable: true }
  Object.defineProperty(holder, Array.isArray(holder) && adds ? String(keys.length) : key, planted)
  return JSON.stringify(root)
}

/** JSON of one of the samples in which some members have another value or a stranger stands among them. */
export const graftedJson = (samples: ReadonlyArray<unknown>, names: ReadonlyArray<string>): fc.Arbitrary<string> => {
  const name = fc.constantFrom(...names, ...inheritedNames)
  const graft = fc.record({ at: fc.nat(10_000), name, value: hostileJson, adds: fc.boolean() })
  const texts = samples.map((sample) => JSON.stringify(sample))
  return fc.tuple(fc.constantFrom(...texts), fc.array(graft, { minLength: 1, maxLength: 4 })).map(
    ([text, grafts]) => grafts.reduce(grafted, text)
  )
}

/** Where bytes are cut into pieces; for `pieces`. */
export const cutsArb = fc.array(fc.nat(1_000_000), { maxLength: 12 })

/** The bytes, cut at these places. */
export const pieces = (bytes: Uint8Array, cuts: ReadonlyArray<number>): ReadonlyArray<Uint8Array> => {
  const edges = [...new Set([0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b)
  return edges.slice(1).map((edge, index) => bytes.slice(edges[index], edge))
}
