import { Context, Duration, Schema } from "effect"
import { BytesText } from "./BytesText.ts"
import { DurationOrZero, DurationText } from "./DurationText.ts"
import { ExtProc } from "./extProcSection.ts"
import { HardwareSection, PresetName } from "./hardware.ts"
import { KubernetesDiscovery } from "./kubernetesSection.ts"
import { PodList } from "./podEntry.ts"
import { PolicySection } from "./policySection.ts"
import { Auth, ListenTls, PodAccess } from "./doorsSection.ts"
import { count, perhaps, section, setting, unknownName } from "./schemaParts.ts"
import { Waiting } from "./waitingSection.ts"

const MANY = 1_000_000
const MIB = 1024 * 1024

const Port = count(0, 65_535)
const Name = Schema.NonEmptyString

const nameOf = <const Names extends ReadonlyArray<string>>(kind: string, names: Names): Schema.Schema<Names[number]> =>
  Schema.String.pipe(
    Schema.filter((name): name is Names[number] => names.includes(name), {
      message: ({ actual }) => unknownName(kind, actual, names)
    })
  )

const Listen = Schema.Struct({
  /** Address of the interface to serve on; `127.0.0.1` keeps it to this machine. Default `0.0.0.0`, all of them. */
  hostname: setting(Name, "0.0.0.0"),
  /** TCP port; 0 takes any free one. Default 8080. */
  port: setting(Port, 8080),
  /** Serve by https. Default: plain HTTP. */
  tls: perhaps(ListenTls),
  /**
   * Show /metrics here, beside the operators' port: always, never, or auto, which is while no keys are asked for. Default
   * auto: whoever may use the gateway unasked may as well read its numbers, and Prometheus finds them without a setting,
   * on a public address too; a start there without keys warns of both.
   */
  metrics: setting(nameOf("choice", ["auto", "always", "never"]), "auto")
})

const Admin = Schema.Struct({
  /** Listen for operators' questions, such as `warmroute explain`. Default true. */
  enabled: setting(Schema.Boolean, true),
  /** Address of the interface; nobody has to log in there, so keep it to machines you trust. Default `127.0.0.1`. */
  hostname: setting(Name, "127.0.0.1"),
  /** TCP port; 0 takes any free one. Default 9091. */
  port: setting(Port, 9091)
})

const FileDiscovery = Schema.Struct({
  /** YAML or JSON list of pods, watched for changes; a relative path written in a file starts at that file. */
  path: Name,
  /** How often it is looked at where the system tells of no change. Default 5 seconds. */
  poll: setting(DurationText, Duration.seconds(5))
})

const DnsDiscovery = Schema.Struct({
  /** Fully qualified name, such as `vllm-headless.default.svc.cluster.local`. */
  name: Name,
  /** The pods' port with A and AAAA records; SRV records bring their own. */
  port: perhaps(count(1, 65_535)),
  /** Ask for SRV records in place of addresses. Default false. */
  srv: setting(Schema.Boolean, false),
  /** How often the name is asked. Default 10 seconds. */
  interval: setting(DurationText, Duration.seconds(10)),
  /** Reach the pods by https. Default false. */
  tls: setting(Schema.Boolean, false)
}).pipe(
  Schema.filter(({ port, srv }) => {
    if (srv && port !== undefined) return { path: ["port"], message: "SRV records bring the port; remove port or srv" }
    return srv || port !== undefined
      ? undefined
      : { path: ["port"], message: "is missing; write the pods' port, or srv: true" }
  })
)

const Discovery = Schema.Struct({
  /** Pods listed in a file that may change. Default: none. */
  file: perhaps(FileDiscovery),
  /** Pods behind a DNS name. Default: none. */
  dns: perhaps(DnsDiscovery),
  /** Pods of a Kubernetes cluster. Default: none. */
  kubernetes: perhaps(KubernetesDiscovery)
})

const Scrape = Schema.Struct({
  /** From the end of one scrape of a pod to the start of the next, jittered by 20 %. Default 1 second. */
  interval: setting(DurationText, Duration.seconds(1)),
  /** The same after a scrape that failed, or an eighth of the time that the pod is away; at most the interval. Default 250 ms. */
  retryAfter: setting(DurationText, Duration.millis(250)),
  /** For each question asked of a pod. Default 1 second. */
  timeout: setting(DurationText, Duration.seconds(1)),
  /** After so many failed scrapes in a row, or failed requests, a pod that leaves `/health` open gets no more. Default 3. */
  failuresBeforeUnhealthy: setting(count(1, 1000), 3),
  /** Scrapes a second of pods that failed so many, all together: with more of them each is asked more seldom. Default 100. */
  awayPerSecond: setting(count(1, MANY), 100),
  /** Largest `/metrics` page that is read. Default 4 MiB. */
  pageBytesMax: setting(BytesText, 4 * MIB),
  /** A pod's models, version and health are asked again after this many scrapes. Default 30. */
  modelsEveryScrapes: setting(count(1, MANY), 30)
})

const Models = Schema.Struct({
  /** Names that clients may use, each with the model that the pods serve. Default none. */
  aliases: setting(Schema.Record({ key: Schema.NonEmptyString, value: Schema.NonEmptyString }), {}),
  /** Output tokens expected of a model that has not answered yet. Default 256. */
  initialOutputTokens: setting(count(1, MANY), 256)
})

const Prefix = Schema.Struct({
  /** Distinct KV blocks remembered over all pods; memory is taken as they come. Default 2,000,000. */
  entriesMax: setting(count(1024, 1 << 28), 2_000_000)
})

const Breaker = Schema.Struct({
  /** Requests that fail at a pod in a row before it gets no more for a while. Default 5. */
  failuresInRow: setting(count(1, 10_000), 5),
  /** The same when this share of its requests fails, from 0.01 to 1. Default 0.5. */
  failureRatio: setting(Schema.Number.pipe(Schema.between(0.01, 1)), 0.5),
  /** Requests in the window below which no share is taken. Default 20. */
  requestsMin: setting(count(1, MANY), 20),
  /** How far back requests count for the share. Default 30 seconds. */
  window: setting(DurationText, Duration.seconds(30)),
  /** How long a pod gets nothing at first; then one request tries. Default 1 second. */
  openMin: setting(DurationText, Duration.seconds(1)),
  /** That time doubles with each failed try, up to this. Default 1 minute. */
  openMax: setting(DurationText, Duration.minutes(1)),
  /** The one request that tries has this long to its first byte. Default 30 seconds. */
  probeTimeout: setting(DurationText, Duration.seconds(30)),
  /** A pod that is back among others gets a growing share of the picks for so long. Default 10 seconds. */
  slowStart: setting(DurationText, Duration.seconds(10)),
  /** A pod without a first token for so long beyond its queue is passed over while there are others. Default 30 seconds. */
  stallAfter: setting(DurationText, Duration.seconds(30))
})

const Rescue = Schema.Struct({
  /** When a pod is lost in the middle of a chat or completions stream, another one goes on with it. Default true. */
  enabled: setting(Schema.Boolean, true),
  /** Pods that may go on with one stream, one after the other. Default 2. */
  attemptsMax: setting(count(0, 100), 2),
  /** Memory for the token ids of one stream, about five bytes a token; a longer one is not rescued. Default 8 MiB. */
  streamBytesMax: setting(BytesText, 8 * MIB),
  /** The same for all streams together. Default 256 MiB. */
  bytesMax: setting(BytesText, 256 * MIB)
})

const Limits = Schema.Struct({
  /** Requests in hand at once; one more is answered 429. Default 16384. */
  openRequestsMax: setting(count(1, MANY), 16_384),
  /** Largest request body; a larger one is answered 413. Default 64 MiB. */
  bodyBytesMax: setting(BytesText, 64 * MIB),
  /** Bodies of all open requests together while the gateway holds them; one more is answered 429. Default 1 GiB. */
  requestBytesMax: setting(BytesText, 1024 * MIB),
  /** Largest multipart form, an audio file say; a larger one is answered 413. Default 1 GiB. */
  multipartBytesMax: setting(BytesText, 1024 * MIB),
  /**
   * A larger multipart form waits for its pod in a file: nameless, in a private folder below the system's temporary one
   * (`TMPDIR`). Default 1 MiB.
   */
  multipartMemoryMax: setting(BytesText, MIB),
  /** Of all those files together; one more is answered 429. Default 8 GiB. */
  spooledBytesMax: setting(BytesText, 8 * 1024 * MIB),
  /** Open requests of a key that has no limit of its own; one more is answered 429. Default 4096. */
  openRequestsPerKeyMax: setting(count(1, MANY), 4096),
  /** Keys in the configuration and its file. Default 1024. */
  keysMax: setting(count(1, MANY), 1024),
  /** Headers of a request; more are answered 431. Default 128. */
  headersMax: setting(count(8, 1000), 128),
  /** Their names and values; more is answered 431. Default 16 KiB, which is also the most. */
  headerBytesMax: setting(
    BytesText.pipe(Schema.filter((bytes) => bytes <= 16_384 ? true : "is more than 16 KiB, at which Bun refuses")),
    16_384
  ),
  /** Scheme, host, path and query of a request; more is answered 414. Default 8192. */
  urlCharsMax: setting(count(256, 16_384), 8192),
  /** Arrays and objects inside one another in a JSON body; deeper ones are answered 400. Default 128. */
  jsonDepthMax: setting(count(8, 1000), 128),
  /**
   * Time between a client's requests, and for all headers of one but the first, for which Bun has 10 to 12 s; then the
   * connection is closed. Up to 4 s less, as Bun counts. At most 255 s. Default 75 seconds.
   */
  clientIdleTimeout: setting(
    DurationText.pipe(
      Schema.filter((time) =>
        Duration.between(time, { minimum: "1 second", maximum: "255 seconds" }) ? true : "must be from 1 s to 255 s"
      )
    ),
    Duration.seconds(75)
  ),
  /**
   * A client that reads more slowly than its pod writes has this long to take what waits for it, at most half a MiB and
   * what the system's own buffers hold; then it is hung up on and its request ends at the pod. Default 2 minutes.
   */
  clientStallTimeout: setting(DurationText, Duration.minutes(2)),
  /** How often files of keys, tokens and certificates are looked at. Default 5 seconds. */
  secretsPoll: setting(DurationText, Duration.seconds(5)),
  /** Time a client has to send its body, else 408; of a form in a file, each `multipartMemoryMax` of it. Default 1 minute. */
  bodyReadTimeout: setting(DurationText, Duration.minutes(1)),
  /** Picks that may wait for the scheduler; one more is answered 429. Default 4096. */
  mailboxCapacity: setting(count(16, MANY), 4096),
  /** Time the scheduler has for a pick, else 504. Default 1 second. */
  askDeadline: setting(DurationText, Duration.seconds(1)),
  /** Pods in the pool; further ones are left out with a warning. Default 1024. */
  podsMax: setting(count(1, 65_536), 1024),
  /** Models, LoRA adapters among them, over all pods. Default 1024. */
  modelsMax: setting(count(1, 65_536), 1024),
  /** Further pods tried when one fails before its answer began. Default 2. */
  retriesMax: setting(count(0, 100), 2),
  /** Retries may be this share of the requests, from 0 to 1; what those of 10 seconds left over is saved. Default 0.2. */
  retryShare: setting(Schema.Number.pipe(Schema.between(0, 1)), 0.2),
  /** Retries that are saved however few requests come, at first for nothing: all there are above that share. Default 20. */
  retryBurst: setting(count(0, MANY), 20),
  /** Sockets to one pod, busy and idle; one more request is tried at another pod, or answered 429. Default 4096. */
  connectionsPerPodMax: setting(count(1, 65_535), 4096),
  /** Sockets to one pod kept open for reuse. Default 256. */
  idleConnectionsPerPodMax: setting(count(0, 65_535), 256),
  /** Age at which an idle socket is dropped; keep it below the pods' keep-alive, 5 s in vLLM. Default 4 seconds. */
  upstreamIdleMax: setting(DurationText, Duration.seconds(4)),
  /** To open a connection to a pod. Default 3 seconds. */
  connectTimeout: setting(DurationText, Duration.seconds(3)),
  /** From a request sent to the first byte of the answer's body, the queue in the pod included. Default 10 minutes. */
  firstByteTimeout: setting(DurationText, Duration.minutes(10)),
  /** Longest silence inside an answer. Default 5 minutes. */
  silenceTimeout: setting(DurationText, Duration.minutes(5)),
  /**
   * An unhealthy pod that for so long gave no byte on any socket and no good answer to any question is lost to its
   * requests, which go on elsewhere. A busy vLLM may answer no question for half a minute, but then it streams. What
   * silences it whole, a huge prompt cut into tokens in its event loop, takes seconds: with less, busy pods lose work.
   * While no other pod could take its requests it has `waiting.podlessTimeout` more. Default 5 seconds.
   */
  lostPodGrace: setting(DurationText, Duration.seconds(5)),
  /** From a request's arrival to the end of its answer, retries included. Default 1 hour. */
  requestTimeout: setting(DurationText, Duration.hours(1)),
  /** How long a pod that left the configuration or discovery may finish its requests. Default 5 minutes. */
  podDrainGrace: setting(DurationText, Duration.minutes(5)),
  /** At SIGTERM, how long the gateway still takes requests, already not ready, so that whoever balances hears of it; 0 stops at once. Default 5 seconds. */
  shutdownDelay: setting(DurationOrZero, Duration.seconds(5)),
  /** At a stop of the gateway, how long running requests may go on before they are cut. Default 30 seconds. */
  shutdownGrace: setting(DurationText, Duration.seconds(30))
})

const Reload = Schema.Struct({
  /** Read the configuration's file again when it changes; SIGHUP and `POST /warmroute/reload` do so in any case. Default true. */
  watch: setting(Schema.Boolean, true),
  /** How often it is looked at where the system tells of no change. Default 5 seconds. */
  poll: setting(DurationText, Duration.seconds(5))
})

const Snapshot = Schema.Struct({
  /** Keep what the gateway learned across restarts. Default true. */
  enabled: setting(Schema.Boolean, true),
  /** The SQLite file; a relative path written in a file starts at that file. Default `warmroute-snapshot.sqlite`. */
  path: setting(Name, "warmroute-snapshot.sqlite"),
  /** How often it is written; a crash loses at most this much. Default 10 seconds. */
  interval: setting(DurationText, Duration.seconds(10))
})

const DecisionLog = Schema.Struct({
  /** Share of the decisions that are logged, from 0 to 1. Default 0: no log. */
  sampleRate: setting(Schema.Number.pipe(Schema.between(0, 1)), 0),
  /** The file, JSON lines; a relative path written in a file starts at that file. Default `warmroute-decisions.jsonl`. */
  path: setting(Name, "warmroute-decisions.jsonl"),
  /** A file that would grow above this gets `.1` behind its name, and the one before it goes. Default 64 MiB. */
  bytesMax: setting(BytesText, 64 * MIB),
  /** Log which prefixes prompts share, as hashes, for `simulate --replay`; about 85 bytes a thousand tokens. Default true. */
  blockHashes: setting(Schema.Boolean, true)
})

const Answers = Schema.Struct({
  /** Name the pod in `x-warmroute-pod` on every answer. Default true. */
  podHeader: setting(Schema.Boolean, true),
  /** Header that brings the client a token of its pod, for the policy's session-affinity plug-ins. Default: none. */
  sessionHeader: perhaps(Name),
  /**
   * `signed`: a client can bring back the tokens that it got, and no other. `plain`: as llm-d's picker has them, which a
   * client can write for the pod of its choice; files of llm-d's have that. Default signed.
   */
  sessionTokens: setting(nameOf("form of session tokens", ["signed", "plain"]), "signed"),
  /**
   * File with the secrets of the tokens, one a line: the first signs, all are good. Read again when it changes. Gateways
   * that share clients need the same. Default: a random one, kept in a file beside the snapshot.
   */
  sessionSecretsPath: perhaps(Name),
  /** Variable of the environment with those secrets, in place of the file. Default: none. */
  sessionSecretsVariable: perhaps(Name)
}).pipe(
  Schema.filter(({ sessionSecretsPath: path, sessionSecretsVariable: variable, sessionTokens }) => {
    const given = path === undefined ? "sessionSecretsVariable" : "sessionSecretsPath"
    if (path === undefined && variable === undefined) return undefined
    if (sessionTokens === "plain") {
      return { path: [given], message: "stands beside plain tokens, which are not signed; set sessionTokens to signed" }
    }
    return path === undefined || variable === undefined
      ? undefined
      : { path: [given], message: "stands beside sessionSecretsVariable; remove one of them" }
  })
)

const Metrics = Schema.Struct({
  /** Show what llm-d's picker shows under its names too, `llm_d_epp_…`, for dashboards that have them. Default false. */
  llmdAliases: setting(Schema.Boolean, false)
})

const Log = Schema.Struct({
  /** Least level that is written: all, trace, debug, info, warning, error, fatal or none. Default info. */
  level: setting(nameOf("log level", ["all", "trace", "debug", "info", "warning", "error", "fatal", "none"]), "info"),
  /** Lines of text for people, or of JSON for machines, on stderr. Default text. */
  format: setting(nameOf("log format", ["text", "json"]), "text")
})

const Emulator = Schema.Struct({
  /** Emulated pods that `serve` starts when no pod is configured. Default 4. */
  pods: setting(count(1, 64), 4),
  /** Hardware preset whose speed they have. Default small. */
  hardware: setting(PresetName, "small"),
  /** Times faster than that hardware. Default 4. */
  speed: setting(Schema.Number.pipe(Schema.between(0.01, 10_000)), 4),
  /** Model that they claim to serve. Default `emulated-8b`. */
  model: setting(Name, "emulated-8b")
})

/**
 * Everything an operator can set. `{}` is a whole configuration; an unknown key is refused. One file, so that all keys
 * and defaults are read in one place; sections with rules of their own have files of their own.
 */
export const GatewayConfigSchema = Schema.Struct({
  /** Where clients reach the gateway. */
  listen: section(Listen),
  /** Where operators ask why. */
  admin: section(Admin),
  /** Where Envoy asks for pods. */
  extproc: section(ExtProc),
  /** Who may use the gateway. */
  auth: section(Auth),
  /** What the gateway shows the pods. */
  podAccess: section(PodAccess),
  /** Pods that are always there: URLs, or `{ url, preset }`. Default none. */
  pods: setting(PodList, []),
  /** Pods that come and go; they add to `pods`. */
  discovery: section(Discovery),
  /** How pods are watched. */
  scrape: section(Scrape),
  /** Which pod a request goes to: a name, or `{ type, parameters }`. Default marginal-cost. */
  policy: section(PolicySection),
  /** How fast the pods are: a preset, or `{ preset, …corrections }`. Default qwen3-32b-2xh100. */
  hardware: section(HardwareSection),
  /** Names of models and what is expected of them. */
  models: section(Models),
  /** What the gateway remembers of the pods' prefix caches. */
  prefix: section(Prefix),
  /** When a pod gets no requests although it says that it is healthy, and how it comes back. */
  breaker: section(Breaker),
  /** What becomes of streams whose pod is lost. */
  rescue: section(Rescue),
  /** The bound of everything that could grow or wait. */
  limits: section(Limits),
  /** How a changed configuration reaches the running gateway. */
  reload: section(Reload),
  /** What happens while every pod is busy. */
  waiting: section(Waiting),
  /** What survives a restart. */
  snapshot: section(Snapshot),
  /** Decisions, predicted against observed TTFT; never a word of a prompt. */
  decisionLog: section(DecisionLog),
  /** What is added to answers. */
  answers: section(Answers),
  /** What else /metrics shows. */
  metrics: section(Metrics),
  /** The gateway's own log. */
  log: section(Log),
  /** The pods of a gateway that has none. */
  emulator: section(Emulator)
})

/** The configuration as the wiring reads it: durations are `Duration`, sizes bytes, pods addresses. */
export interface GatewayConfig extends Schema.Schema.Type<typeof GatewayConfigSchema> {}

type Written = typeof GatewayConfigSchema.Encoded

/** The configuration as it is written, short forms included. */
export interface GatewayConfigInput extends Omit<Written, "pods" | "policy" | "hardware"> {
  readonly pods?: ReadonlyArray<string | NonNullable<Written["pods"]>[number]>
  readonly policy?: string | Written["policy"]
  readonly hardware?: string | Written["hardware"]
}

/** The configuration as a service; `config/layers/gatewayConfig.ts` has its layers. */
export const GatewayConfig = Context.GenericTag<GatewayConfig>("warmroute/GatewayConfig")
