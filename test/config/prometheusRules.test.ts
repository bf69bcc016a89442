import { expect, test } from "bun:test"
import { startTestFleet } from "../lib/testFleet.ts"
import { startTestGateway } from "../lib/testGateway.ts"

interface Rule {
  readonly alert: string
  readonly expr: string
  readonly labels: { readonly severity: string }
  readonly annotations: { readonly summary: string; readonly description: string }
}

const root = new URL("../../", import.meta.url)
const textOf = (path: string): Promise<string> => Bun.file(new URL(path, root)).text()
const rules = async (): Promise<ReadonlyArray<Rule>> => {
  const { groups } = Bun.YAML.parse(await textOf("config/examples/prometheus-rules.yaml")) as {
    readonly groups: ReadonlyArray<{ readonly rules: ReadonlyArray<Rule> }>
  }
  return groups.flatMap(({ rules }) => rules)
}

/** `warmroute_…` with what stands for a family of names in prose left out. */
const namesIn = (text: string): ReadonlyArray<string> => [
  ...new Set([...text.matchAll(/\bwarmroute_[a-z_]*[a-z]\b(?!_)/g)].map(([name]) => name))
]

/** Metrics and the labels of their samples, as a live gateway shows them. */
const readPage = async (): Promise<string> => {
  const fleet = await startTestFleet(1)
  const gateway = await startTestGateway({ pods: fleet.urls })
  try {
    await gateway.healthyPods(1)
    return await (await fetch(`${gateway.url}/metrics`)).text()
  } finally {
    await gateway.stop()
    await fleet.stop()
  }
}

const page = readPage()

const shown = (page: string): ReadonlySet<string> =>
  new Set(
    [...page.matchAll(/^# TYPE (\S+) (\S+)$/gm)].flatMap(([, name = "", type]) =>
      type === "histogram" ? [name, `${name}_bucket`, `${name}_sum`, `${name}_count`] : [name]
    )
  )

test("every metric that a rule or the README names is one that a live gateway shows", async () => {
  const names = shown(await page)
  for (const path of ["config/examples/prometheus-rules.yaml", "README.md"]) {
    const unknown = namesIn(await textOf(path)).filter((name) => !names.has(name))
    expect([path, unknown]).toEqual([path, []])
  }
})

test("every code that a rule asks for is one of our errors, and every state and outcome one that is counted", async () => {
  const [errors, samples] = [await textOf("src/errors.ts"), await page]
  for (const { alert, expr } of await rules()) {
    for (const [, name, label, values = ""] of expr.matchAll(/(\w+)\{(\w+)=~?"([^"]+)"\}/g)) {
      for (const value of values.split("|")) {
        const isKnown = label === "code" ? errors.includes(`"${value}"`) : samples.includes(`{${label}="${value}"}`)
        const isLazy = (name === "warmroute_retries_denied_total" && value === "budget") ||
          (name === "warmroute_breaker_changes_total" && value === "open")
        expect([alert, value, isKnown || isLazy]).toEqual([alert, value, true])
      }
    }
  }
})

test("there is an alert for each way in which the gateway has to go without something", async () => {
  const found = await rules()
  expect(found.map(({ alert }) => alert)).toEqual([...new Set(found.map(({ alert }) => alert))])
  const watched = [
    "warmroute_pods",
    "warmroute_pod_breaker_open",
    "warmroute_errors_total",
    "warmroute_limit_used",
    "warmroute_retries_denied_total",
    "warmroute_rescues_denied_total",
    "warmroute_actor_crashes_total",
    "warmroute_snapshot_failures_total",
    "warmroute_config_reloads_total"
  ]
  for (const metric of watched) {
    expect([metric, found.some(({ expr }) => expr.includes(metric))]).toEqual([metric, true])
  }
  for (const { annotations, labels } of found) {
    expect(["critical", "warning"]).toContain(labels.severity)
    expect([annotations.summary, annotations.description].every((text) => text.length > 10)).toBe(true)
  }
})
