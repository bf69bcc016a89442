import { hardwarePresets } from "../../src/core/hardwarePresets.ts"
import { type EmulatedPodOptions, startEmulatedFleet } from "../../src/emulator/EmulatedPod.ts"
import { eventually } from "./eventually.ts"

export const emulatedModel = "emulated-8b"

/** Emulated pods on free ports, fast enough not to be waited for. */
export interface TestFleet {
  readonly urls: ReadonlyArray<string>
  /** Waits until no pod has a request. */
  readonly becomesIdle: () => Promise<void>
  readonly stop: () => Promise<void>
}

export const startTestFleet = async (
  count: number,
  options: Partial<EmulatedPodOptions> = {},
  /** Of the first; 0: any free one. */
  port = 0
): Promise<TestFleet> => {
  const constants = hardwarePresets["small"]
  if (constants === undefined) throw new Error("the preset small is gone")
  const fleet = await startEmulatedFleet(count, port, { model: emulatedModel, speed: 20, constants, ...options })
  return {
    urls: fleet.urls,
    becomesIdle: () => eventually("every pod idle", () => fleet.pods.every((pod) => !pod.engine.hasWork)),
    stop: fleet.stop
  }
}
