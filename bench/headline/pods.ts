#!/usr/bin/env bun
// Run by the bench as a process of its own: `pods.ts PORT SPEED STREAM_INTERVAL MODEL`, until a signal comes.
import { hardwarePresets } from "../../src/core/hardwarePresets.ts"
import { startEmulatedFleet } from "../../src/emulator/EmulatedPod.ts"
import { PODS, PRESET } from "./scale.ts"

const [port, speed, streamInterval, model] = process.argv.slice(2)

startEmulatedFleet(PODS, Number(port), {
  constants: hardwarePresets[PRESET]!,
  speed: Number(speed),
  streamInterval: Number(streamInterval),
  model: model ?? "emulated",
  // vLLM's on an H100.
  maxNumSeqs: 1024
})
