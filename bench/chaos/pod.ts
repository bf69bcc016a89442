import { parseArgs } from "node:util"
import { hardwarePresets } from "../../src/core/hardwarePresets.ts"
import { startEmulatedPod } from "../../src/emulator/EmulatedPod.ts"
import { FaultFront, type FrontMode } from "./FaultFront.ts"
import { watchLateness } from "./lateness.ts"
import { warmUp } from "./warmUp.ts"

/**
 * One emulated pod behind its faults, in a process of its own, at its port once its parent tells it to listen. Told its
 * mode by its parent; tells of its requests, of when it wrote the events of its streams, and of when it was late.
 */
const { values } = parseArgs({
  options: { port: { type: "string" }, hardware: { type: "string" }, model: { type: "string" } }
})
const constants = hardwarePresets[values.hardware ?? ""]
if (constants === undefined) throw new Error(`there is no hardware preset "${values.hardware}"`)
const options = { constants, model: values.model ?? "emulated", poolingAndAudio: false }
const tell = (message: unknown): void => {
  process.send?.(message)
}
let front: FaultFront | undefined

const listen = (): void => {
  const pod = startEmulatedPod(options)
  front = new FaultFront({
    port: Number(values.port),
    podPort: pod.port,
    onRequest: (user) => tell({ user }),
    onAnswered: (answered, writtenMs) => tell({ answered, writtenMs })
  })
  watchLateness((late) => tell({ late }))
  tell({ listening: true })
}

process.on("message", (order: FrontMode | "listen") => {
  if (order === "listen") listen()
  else if (front !== undefined) front.mode = order
})
process.on("disconnect", () => process.exit(0))
await warmUp(options)
tell({ ready: true })
