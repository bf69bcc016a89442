import { parseArgs } from "node:util"
import { hardwarePresets } from "../../src/core/hardwarePresets.ts"
import { startEmulatedPod } from "../../src/emulator/EmulatedPod.ts"
import { FaultFront, type FrontMode } from "./FaultFront.ts"

const TICK_MS = 5
/** Shorter ones are the event loop's own work. */
const LAG_TOLD_MS = 20

/** One emulated pod behind its faults, in a process of its own. Told its mode by its parent; tells of its requests. */
const { values } = parseArgs({
  options: { port: { type: "string" }, hardware: { type: "string" }, model: { type: "string" } }
})
const constants = hardwarePresets[values.hardware ?? ""]
if (constants === undefined) throw new Error(`there is no hardware preset "${values.hardware}"`)
const tell = (message: unknown): void => {
  process.send?.(message)
}
const pod = startEmulatedPod({ constants, model: values.model ?? "emulated", poolingAndAudio: false })
const front = new FaultFront({ port: Number(values.port), podPort: pod.port, onRequest: (user) => tell({ user }) })
process.on("message", (mode: FrontMode) => {
  front.mode = mode
})
process.on("disconnect", () => process.exit(0))
let lastMs = performance.now()
setInterval(() => {
  const now = performance.now()
  const lagMs = now - lastMs - TICK_MS
  lastMs = now
  if (lagMs > LAG_TOLD_MS) tell({ lagMs })
}, TICK_MS)
tell({ ready: true })
