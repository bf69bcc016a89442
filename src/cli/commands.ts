import { availableParallelism } from "node:os"
import { Args, Command, HelpDoc, Options, ValidationError } from "@effect/cli"
import { Effect, Option } from "effect"
import { hardwarePresets } from "../core/hardwarePresets.ts"
import { policyNames } from "../policies/registry.ts"
import { boundName } from "../simulator/bound.ts"
import { evenFleetName, fleets } from "../simulator/fleets/catalog.ts"
import { traceFormats } from "../simulator/traces/formats.ts"
import { workloads } from "../simulator/workloads/catalog.ts"
import { defaultSloText } from "./plan/sloText.ts"

const presets = Object.keys(hardwarePresets).join(", ")

const flag = (name: string, value: string, description: string): Options.Options<string | undefined> =>
  Options.text(name).pipe(
    Options.withPseudoName(value),
    Options.withDescription(description),
    Options.optional,
    Options.map(Option.getOrUndefined)
  )

const help = (purpose: string, ...examples: ReadonlyArray<string>): HelpDoc.HelpDoc =>
  [...examples.map((example) => `  ${example}`), everywhere].reduce<HelpDoc.HelpDoc>(
    (doc, line) => HelpDoc.sequence(doc, HelpDoc.p(line)),
    HelpDoc.p(purpose)
  )

const everywhere = "Every command also takes --help, --version and --completions SHELL (bash, fish, zsh)."

const signalsHelp = "SIGTERM: not ready at once, requests are taken for limits.shutdownDelay more, open ones have " +
  "limits.shutdownGrace to end, then the snapshot is written and the exit is 0. SIGINT (Ctrl-C) skips the delay. A " +
  "second signal ends open requests at once, each with an error of its own, and still writes the snapshot and exits " +
  "with 0; a third ends the process as it is, with 130. Copies within half a second count as one. SIGHUP reads the " +
  "configuration again."

const serve = Command.make("serve", {
  pods: flag("pods", "URL,URL", "vLLM pods to route to. Default: WARMROUTE_PODS, then the file, then emulated pods."),
  config: flag(
    "config",
    "FILE",
    "YAML with the settings; config/examples/gateway.yaml has them all. Default: WARMROUTE_CONFIG."
  ),
  listen: flag("listen", "HOST:PORT", "Where clients reach the gateway. Default: 0.0.0.0:8080."),
  port: flag("port", "PORT", "The port alone; 0 takes any free one. Default: 8080."),
  policy: flag("policy", "NAME", `How a pod is chosen: ${policyNames.join(", ")}. Default: marginal-cost.`),
  hardware: flag("hardware", "PRESET", `How fast the pods are: ${presets}. Default: qwen3-32b-2xh100.`),
  snapshot: flag("snapshot", "FILE", `Where the learned state is kept, or "off". Default: warmroute-snapshot.sqlite.`),
  logLevel: flag(
    "log-level",
    "LEVEL",
    "Least level that is logged: all, trace, debug, info, warning, error, fatal, none. Default: info."
  ),
  insecure: Options.boolean("insecure").pipe(
    Options.withDescription("No warning when other machines reach a gateway that asks for no keys."),
    Options.map((given) => given ? "true" : undefined)
  )
}, ({ config, ...flags }) =>
  Effect.gen(function*() {
    const { serve } = yield* Effect.promise(() => import("./serve.ts"))
    yield* serve({
      flags: flags,
      environment: process.env,
      configPath: config
    })
  })).pipe(Command.withDescription(HelpDoc.sequence(
    help(
      "Route OpenAI and Anthropic requests to vLLM pods, each to the pod where it is cheapest.",
      "warmroute serve --pods http://10.0.0.7:8000,http://10.0.0.8:8000",
      "warmroute serve --config gateway.yaml --port 9000",
      "warmroute serve        (no pods: starts emulated ones to play with)"
    ),
    HelpDoc.p(signalsHelp)
  )))

const number = (name: string, least: number, most: number, whole: boolean, fallback: number, description: string) =>
  flag(name, "NUMBER", `${description} Default: ${fallback}.`).pipe(
    Options.mapEffect((text) => numberIn(name, text ?? `${fallback}`, least, most, whole))
  )

/** Undefined when it is not given. */
const wholeNumber = (name: string, least: number, most: number, description: string) =>
  flag(name, "NUMBER", description).pipe(
    Options.mapEffect((text) =>
      text === undefined ? Effect.succeed(undefined) : numberIn(name, text, least, most, true)
    )
  )

const numberIn = (
  name: string,
  text: string,
  least: number,
  most: number,
  whole: boolean
): Effect.Effect<number, ValidationError.ValidationError> => {
  const value = Number(text)
  const range = `${whole ? "a whole number" : "a number"} from ${least} to ${most}`
  return value >= least && value <= most && (!whole || Number.isInteger(value))
    ? Effect.succeed(value)
    : Effect.fail(ValidationError.invalidValue(HelpDoc.p(`warmroute: --${name} is "${text}" but must be ${range}.`)))
}

const word = (name: string, value: string, fallback: string, description: string) =>
  Options.map(flag(name, value, `${description} Default: ${fallback}.`), (text) => text ?? fallback)

const emulate = Command.make("emulate", {
  pods: number("pods", 1, 64, true, 4, "How many."),
  basePort: number("port", 0, 65_535, true, 9000, "Port of the first, the others follow; 0 takes any free ones."),
  hostname: word("host", "HOST", "127.0.0.1", "Interface they listen on."),
  hardware: word("hardware", "PRESET", "small", `Hardware whose speed and KV capacity they have: ${presets}.`),
  speed: number("speed", 0.01, 10_000, false, 1, "Times faster than that hardware."),
  model: word("model", "NAME", "emulated-8b", "Model that they claim to serve.")
}, (choice) =>
  Effect.gen(function*() {
    const { emulate } = yield* Effect.promise(() => import("./emulate.ts"))
    yield* emulate(choice)
  })).pipe(Command.withDescription(help(
    "Run emulated vLLM pods: the wire of vLLM over a model of its engine, for trials without a GPU.",
    "warmroute emulate --pods 4 --port 9000 --hardware small",
    "warmroute emulate --pods 8 --port 0 --hardware qwen3-32b-2xh100 --speed 10"
  )))

const check = Command.make("check", {
  file: Args.text({ name: "FILE" }).pipe(Args.withDescription("The YAML to check.")),
  offline: Options.boolean("offline").pipe(Options.withDescription("Don't ask the pods whether they answer."))
}, ({ file, offline }) =>
  Effect.gen(function*() {
    const { check } = yield* Effect.promise(() => import("./check.ts"))
    yield* check(file, offline)
  })).pipe(Command.withDescription(help(
    "Check a configuration and say what serve would do with it; exit 1 and the reason when it is wrong.",
    "warmroute check gateway.yaml",
    "warmroute check gateway.yaml --offline"
  )))

const simulate = Command.make("simulate", {
  workload: flag("workload", "NAME", `What clients ask: ${[...workloads.keys()].join(", ")}. Default: ladder.`),
  trace: flag("trace", "FILE", "A recorded trace instead of a workload; .xz is unpacked."),
  replay: flag("replay", "FILE", "A gateway's decision log, to be played with other policies beside what happened."),
  format: word("format", "NAME", "mooncake", `Form of the trace: ${[...traceFormats.keys()].join(", ")}.`),
  load: flag("load", "NUMBER", "How much of it: requests a second, users at once or a factor. Default: as is usual."),
  duration: flag("duration", "SECONDS", "Seconds in which requests arrive. Default: the workload's own."),
  policy: word(
    "policy",
    "NAME,NAME",
    "marginal-cost",
    `Policies to compare: ${policyNames.join(", ")}; and ${boundName}, which no gateway can reach: one prefix cache ` +
      `without end for all pods.`
  ),
  seed: number("seed", 0, 1_000_000, true, 1, "The same seed gives the same run."),
  pods: wholeNumber("pods", 1, 1024, "How many. Default: 8, or as many as the replayed log names."),
  hardware: word("hardware", "PRESET", "qwen3-32b-2xh100", `Speed and KV capacity of the pods: ${presets}.`),
  fleet: word("fleet", "NAME", evenFleetName, `How pods differ, come and go: ${[...fleets.keys()].join(", ")}.`),
  json: Options.boolean("json").pipe(Options.withDescription("Print JSON instead of a table."))
}, (choice) =>
  Effect.gen(function*() {
    const { simulate } = yield* Effect.promise(() => import("./simulate.ts"))
    yield* simulate(choice)
  })).pipe(Command.withDescription(help(
    "Try policies on simulated pods, in virtual time: the scheduler that serves, over a model of the engine.",
    "warmroute simulate --workload b2b --load 16 --policy marginal-cost,llm-d-blend,round-robin",
    "warmroute simulate --trace conversation.jsonl --format mooncake --load 1.5 --json",
    "warmroute simulate --replay warmroute-decisions.jsonl --policy llm-d-blend"
  )))

const plan = Command.make("plan", {
  trace: flag("trace", "FILE", "A record of what clients ask; .xz is unpacked."),
  format: word("format", "NAME", "mooncake", `Form of the trace: ${[...traceFormats.keys()].join(", ")}.`),
  timeScale: flag("time-scale", "NUMBER", "Play the trace so many times as fast as recorded. Default: 1."),
  workload: flag("workload", "NAME", `In place of a trace: ${[...workloads.keys()].join(", ")}.`),
  load: flag("load", "NUMBER", "How much of it: requests a second, users at once or a factor. Default: as is usual."),
  duration: flag("duration", "SECONDS", "Seconds in which requests arrive; fewer plan faster. Default: all of it."),
  hardware: word("hardware", "PRESET|FILE", "qwen3-32b-2xh100", `Speed of a pod: ${presets}, or calibrate's YAML.`),
  gpus: flag("gpus", "NUMBER", "GPUs a pod has. Default: as the hardware's name says (-2xh100: 2), else 1."),
  slo: word("slo", "LIMITS", defaultSloText, "What a request may take: ttft and the mean tpot of its tokens, or one."),
  share: number(
    "share",
    0.01,
    1,
    false,
    0.9,
    "Share of requests that must be inside. Recorded prompts differ a lot, and the longest take some seconds on an " +
      "idle pod, so that shares near 1 are often out of any fleet's reach."
  ),
  policy: word(
    "policy",
    "NAME,NAME",
    "marginal-cost,llm-d-blend-lru,round-robin",
    `Policies to plan for: ${policyNames.join(", ")}.`
  ),
  podsMax: number("pods-max", 1, 1024, true, 64, "The largest fleet to try."),
  seed: number("seed", 0, 1_000_000, true, 1, "The same seed gives the same plan."),
  threads: number("threads", 1, 64, true, Math.min(16, availableParallelism()), "Fleets that are simulated at once."),
  html: flag("html", "FILE", "Also write a page with the curves; it loads nothing from elsewhere."),
  json: Options.boolean("json").pipe(Options.withDescription("Print JSON instead of a table and a plot."))
}, (choice) =>
  Effect.gen(function*() {
    const { plan } = yield* Effect.promise(() => import("./plan.ts"))
    yield* plan(choice)
  })).pipe(Command.withDescription(help(
    "Find the smallest fleet that holds an objective, for each policy, by simulating fleets in virtual time.",
    "warmroute plan --trace t.jsonl --hardware qwen3-32b-2xh100 --slo ttft=2s,tpot=50ms",
    "warmroute plan --workload chat --load 40 --share 0.99 --html plan.html"
  )))

const calibrate = Command.make("calibrate", {
  pod: Options.text("pod").pipe(Options.withPseudoName("URL"), Options.withDescription("The vLLM pod to measure.")),
  model: flag("model", "NAME", "Model to ask for. Default: the first that the pod serves."),
  out: flag("out", "FILE", "Where to write the YAML. Default: the standard output."),
  within: word("within", "DURATION", "100s", "Time that the measuring may take."),
  force: Options.boolean("force").pipe(Options.withDescription("Measure a pod that has other work, too.")),
  json: Options.boolean("json").pipe(Options.withDescription("Print JSON with every sample instead of the YAML."))
}, (choice) =>
  Effect.gen(function*() {
    const { calibrate } = yield* Effect.promise(() => import("./calibrate.ts"))
    yield* calibrate(choice)
  })).pipe(Command.withDescription(help(
    "Measure an idle pod and write the engine constants for the setting hardware.",
    "warmroute calibrate --pod http://10.0.0.7:8000 --out hardware.yaml",
    "warmroute calibrate --pod http://10.0.0.7:8000 --within 30s --json"
  )))

const explain = Command.make("explain", {
  admin: word("admin", "URL", "http://127.0.0.1:9091", "Where the gateway listens for operators; serve prints it."),
  file: flag("file", "FILE", "The request's body as JSON, or { path, body } for another route than chat completions."),
  prompt: flag("prompt", "TEXT", "A chat request of one message, in place of a file."),
  model: flag("model", "NAME", "The model, with --prompt. Default: any."),
  json: Options.boolean("json").pipe(Options.withDescription("Print the gateway's JSON instead of a table."))
}, (choice) =>
  Effect.gen(function*() {
    const { explain } = yield* Effect.promise(() => import("./explain.ts"))
    yield* explain(choice)
  })).pipe(Command.withDescription(help(
    "Ask a running gateway which pod a request would go to and why, every cost in seconds. Nothing is sent to a pod.",
    "warmroute explain --prompt \"Hello!\" --model qwen3-32b",
    "warmroute explain --admin http://127.0.0.1:9091 --file body.json --json"
  )))

const key = Command.make("key", {
  name: word("name", "NAME", "client", "Who it is for, as logs and metrics have it."),
  stdin: Options.boolean("stdin").pipe(
    Options.withDescription("Hash the key on the standard input instead of making one.")
  )
}, (choice) =>
  Effect.gen(function*() {
    const { key } = yield* Effect.promise(() => import("./key.ts"))
    yield* key(choice)
  })).pipe(Command.withDescription(help(
    "Make an API key for a client, and print its entry for the configuration, which holds a hash of it alone.",
    "warmroute key --name team-a",
    "warmroute key --name team-a >> keys.yaml        (the key itself goes to the screen)",
    "warmroute key --name team-a --stdin < key.txt"
  )))

/** All of `warmroute`. */
export const warmroute = Command.make("warmroute").pipe(
  Command.withDescription(help(
    "Inference gateway for vLLM pods: every request goes to the pod where it is cheapest.",
    "warmroute serve --pods http://10.0.0.7:8000,http://10.0.0.8:8000",
    "warmroute serve --help"
  )),
  Command.withSubcommands([serve, emulate, check, explain, calibrate, simulate, plan, key])
)
