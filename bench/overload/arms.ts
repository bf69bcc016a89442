import { join } from "node:path"
import { PRESET, scaledConstants, scaledPolicy, SCRAPE_MS } from "../headline/scale.ts"
import { workDirectory } from "../Process.ts"
import { gateways } from "../proxy/gateways.ts"
import { serveWith } from "../Warmroute.ts"

/** One gateway under one set of settings. */
export interface Arm {
  readonly name: string
  readonly install: () => Promise<void>
  readonly argv: (port: number, podPorts: ReadonlyArray<number>) => ReadonlyArray<string>
}

/** For a TTFT of 2 s: time to wait, pods' queues, and prefill are inside it together. Emulated seconds. */
const tuned = (speed: number) => ({
  timeout: millis(1.2, speed),
  ttftTarget: millis(2, speed),
  overloadAfter: millis(4, speed),
  bands: [{ priority: 0, podQueueMax: millis(0.02, speed) }]
})

/** Only what is written in seconds is scaled, but for the timeout, which is not set so that the TTFT target holds. */
const shipped = (speed: number) => ({
  ttftTarget: millis(2, speed),
  overloadAfter: millis(20, speed),
  patience: millis(30, speed),
  podQueueMax: millis(1, speed)
})

const millis = (seconds: number, speed: number): string => `${Math.round(seconds * 1000 / speed)} millis`

const warmroute = (name: string, waiting: object, speed: number): Arm => ({
  name,
  install: async () => {},
  argv: (port, podPorts) =>
    serveWith(join(workDirectory, "overload", `${name}.yaml`), {
      listen: { hostname: "127.0.0.1", port },
      admin: { enabled: false },
      pods: podPorts.map((pod) => `http://127.0.0.1:${pod}`),
      policy: scaledPolicy("marginal-cost", speed),
      hardware: { preset: PRESET, ...scaledConstants(speed) },
      scrape: { interval: `${SCRAPE_MS} millis` },
      snapshot: { enabled: false },
      limits: { shutdownDelay: "1 millis" },
      waiting: { ...waiting, objectives: { interactive: 10 } }
    })
})

/** In the order in which they are measured. */
export const arms = (speed: number): ReadonlyArray<Arm> => [
  warmroute("warmroute", tuned(speed), speed),
  warmroute("warmroute-shipped", shipped(speed), speed),
  ...gateways.filter(({ name }) => name === "vllm-router-cache" || name === "smg-cache")
]
