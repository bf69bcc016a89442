import { Effect, Either } from "effect"
import { readTrace, traceFormats } from "../simulator/traces/formats.ts"
import type { Workload, WorkloadOptions } from "../simulator/Workload.ts"
import { workloads } from "../simulator/workloads/catalog.ts"
import { CommandFailure } from "./failure.ts"
import { readNamed } from "./namedFile.ts"

/** The flags that say what clients ask in a simulated world. */
export interface WorkloadChoice {
  readonly workload: string
  readonly trace: string | undefined
  readonly format: string
  readonly load: string | undefined
  readonly duration: string | undefined
  readonly seed: number
}

/** A workload before it is made: plain data, so that it can go to another thread. */
export interface WorkloadSource {
  /** Of the workload, or of the trace's format. */
  readonly name: string
  readonly trace: { readonly path: string; readonly text: string } | undefined
  readonly options: WorkloadOptions
}

/** Reads what the flags name. `command` is for messages. */
export const workloadSource = (
  command: string,
  choice: WorkloadChoice
): Effect.Effect<WorkloadSource, CommandFailure> =>
  Effect.gen(function*() {
    const fail = (reason: string) => Effect.fail(new CommandFailure({ message: `warmroute ${command}: ${reason}` }))
    const { format, seed, trace: path, workload } = choice
    const known = path === undefined ? workloads.get(workload) : traceFormats.get(format)
    if (known === undefined) {
      return yield* path === undefined
        ? fail(`no workload "${workload}"; there are: ${[...workloads.keys()].join(", ")}`)
        : fail(`no trace format "${format}"; there are: ${[...traceFormats.keys()].join(", ")}`)
    }
    const positive = (flag: string, text: string): Effect.Effect<number, CommandFailure> =>
      Number(text) > 0 && Number.isFinite(Number(text))
        ? Effect.succeed(Number(text))
        : fail(`--${flag} is "${text}" but must be a number above 0`)
    const load = yield* positive("load", choice.load ?? `${known.defaultLoad}`)
    const durationS = choice.duration === undefined ? undefined : yield* positive("duration", choice.duration)
    const options = { load, seed, durationS }
    if (path === undefined) return { name: workload, trace: undefined, options }
    const text = yield* readNamed(command, path)
    return text.trim() === "" ? yield* fail(`${path} is empty`) : { name: format, trace: { path, text }, options }
  })

/** Makes the workload anew at each call; the requests are the same each time. Left: what is wrong with its trace. */
export const workloadMaker = ({ name, options, trace }: WorkloadSource): Either.Either<() => Workload, string> => {
  if (trace !== undefined) {
    return readTrace(name, trace.text).pipe(
      Either.map((make) => () => make(options)),
      Either.mapLeft((fault) => `${trace.path} is no ${name} trace: ${fault}`)
    )
  }
  const known = workloads.get(name)
  return known === undefined ? Either.left(`no workload "${name}"`) : Either.right(() => known.make(options))
}
