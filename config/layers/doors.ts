import { Context, Effect, Layer, Ref, Schedule } from "effect"
import { KeyRing, type KeyRingOptions } from "../../src/http/doors/KeyRing.ts"
import { PodCredentials } from "../../src/http/doors/PodCredentials.ts"
import { SessionTokens, type TokenForm } from "../../src/http/doors/SessionTokens.ts"
import { dateFault, type TlsPair } from "../../src/http/doors/TlsPair.ts"
import { GatewayConfig } from "../GatewayConfig.ts"
import { GatewayStartError } from "../GatewayStartError.ts"
import { ownSessionSecret } from "../ownSessionSecret.ts"
import { namesFiles, readSecrets, type Secrets } from "../secretFiles.ts"

/** Who may come in, and what the gateway shows the pods; kept as the configuration and its files say. */
export class Doors extends Context.Tag("warmroute/Doors")<Doors, {
  /** Empty while no keys are asked for. */
  readonly keys: KeyRing
  readonly access: PodCredentials
  readonly sessionTokens: SessionTokens
  /** At the start; undefined: clients come without TLS. */
  readonly tls: TlsPair | undefined
  /** Calls `replace` with each later pair; it may throw. */
  readonly followTls: (replace: (pair: TlsPair) => void) => void
  /** Takes other settings, and reads all their files. Fails when a file is wrong, and then nothing has changed. */
  readonly reload: (config: GatewayConfig) => Effect.Effect<void, GatewayStartError>
}>() {}

const read = (config: GatewayConfig): Effect.Effect<Secrets, GatewayStartError> =>
  Effect.tryPromise({
    try: () => readSecrets(config, process.env),
    catch: (cause) => new GatewayStartError({ message: cause instanceof Error ? cause.message : String(cause) })
  })

/** Whether pods get a token of the gateway's own. */
export const hasPodTokens = ({ podAccess: { tokenPath, tokenPaths, tokenVariable } }: GatewayConfig): boolean =>
  tokenPath !== undefined || tokenVariable !== undefined || Object.keys(tokenPaths).length > 0

const aliasesOf = ({ models }: GatewayConfig): ReadonlyMap<string, string> => new Map(Object.entries(models.aliases))

const keyOptions = ({ limits }: GatewayConfig): KeyRingOptions => ({
  openRequestsPerKeyMax: limits.openRequestsPerKeyMax,
  nowMs: Date.now
})

/** The gateway's own secret is asked for only where answers carry tokens that it would sign. */
const tokenForm = (
  { answers }: GatewayConfig,
  { sessions }: Secrets,
  own: Effect.Effect<string>
): Effect.Effect<TokenForm> => {
  if (answers.sessionTokens === "plain") return Effect.succeed({ form: "plain" })
  if (sessions !== undefined) return Effect.succeed({ form: "signed", secrets: sessions })
  if (answers.sessionHeader === undefined) return Effect.succeed({ form: "signed", secrets: [] })
  return Effect.map(own, (secret) => ({ form: "signed", secrets: [secret] }))
}

const ownSecret = ({ snapshot }: GatewayConfig): Effect.Effect<string> =>
  Effect.promise(() => ownSessionSecret(snapshot)).pipe(
    Effect.tap(({ fault }) =>
      fault === undefined ? Effect.void : Effect.logWarning(
        `session tokens: ${fault}, so they are good until this process ends; answers.sessionSecretsPath makes them last`
      )
    ),
    Effect.map(({ secret }) => secret)
  )

const warnOfPlainTokens = ({ answers: { sessionHeader, sessionTokens } }: GatewayConfig): Effect.Effect<void> =>
  sessionTokens === "signed" || sessionHeader === undefined
    ? Effect.void
    : Effect.logWarning(
      `session tokens are plain: whoever writes one into ${sessionHeader} chooses the pod. Where clients need not read ` +
        "tokens of llm-d's picker, set answers.sessionTokens to signed"
    )

/** It is served nonetheless: another clock may be the wrong one. */
const warnOfDates = ({ listen }: GatewayConfig, pair: TlsPair | undefined): Effect.Effect<void> => {
  const fault = pair === undefined ? undefined : dateFault(pair, Date.now())
  return fault === undefined ? Effect.void : Effect.logWarning(
    `doors: listen.tls.certPath: ${listen.tls?.certPath} ${fault}, so clients refuse it; put a new pair into its files`
  )
}

const make = Effect.gen(function*() {
  const started = yield* GatewayConfig
  const first = yield* read(started)
  const current = yield* Ref.make({ config: started, secrets: first, fault: "" })
  const { limits } = started
  const keys = new KeyRing(keyOptions(started), first.keys, aliasesOf(started))
  const access = new PodCredentials(first.pods)
  const own = yield* Effect.cached(ownSecret(started))
  yield* warnOfPlainTokens(started)
  yield* warnOfDates(started, first.tls)
  let form = yield* tokenForm(started, first, own)
  const sessionTokens = new SessionTokens(form)
  let replaceTls: (pair: TlsPair) => void = () => {}
  const apply = (config: GatewayConfig, secrets: Secrets) =>
    Effect.gen(function*() {
      const before = yield* Ref.get(current)
      if (secrets.tls !== undefined && !Bun.deepEquals(secrets.tls, before.secrets.tls)) {
        const pair = secrets.tls
        yield* Effect.try({
          try: () => replaceTls(pair),
          catch: (cause) =>
            new GatewayStartError({ message: `listen.tls: ${cause instanceof Error ? cause.message : String(cause)}` })
        })
        yield* Effect.logInfo("doors: new connections of clients get the new certificate")
        yield* warnOfDates(config, pair)
      }
      // Cheap, and the aliases may be others, too.
      keys.replaceOptions(keyOptions(config))
      keys.replaceKeys(secrets.keys, aliasesOf(config))
      if (!Bun.deepEquals(secrets.keys, before.secrets.keys)) {
        yield* Effect.logInfo(`doors: keys that are good from now on: ${secrets.keys.length}`)
      }
      if (!Bun.deepEquals(secrets.pods, before.secrets.pods)) {
        access.replace(secrets.pods)
        yield* Effect.logInfo("doors: pods are shown the new secrets")
      }
      const formBefore = form
      form = yield* tokenForm(config, secrets, own)
      if (!Bun.deepEquals(form, formBefore)) {
        sessionTokens.replace(form)
        yield* Effect.logInfo("doors: session tokens have other secrets or another form")
        if (form.form !== formBefore.form) yield* warnOfPlainTokens(config)
      }
      yield* Ref.set(current, { config, secrets, fault: "" })
    })
  const look = Effect.gen(function*() {
    const { config, fault } = yield* Ref.get(current)
    if (!namesFiles(config)) return
    yield* Effect.flatMap(read(config), (secrets) => apply(config, secrets)).pipe(
      Effect.catchAll(({ message }) =>
        Effect.gen(function*() {
          if (message !== fault) yield* Effect.logWarning(`doors: ${message}; what was read before stays good`)
          yield* Ref.update(current, (before) => ({ ...before, fault: message }))
        })
      )
    )
  })
  yield* Effect.forkScoped(Effect.schedule(look, Schedule.spaced(limits.secretsPoll)))
  return {
    keys,
    access,
    sessionTokens,
    tls: first.tls,
    followTls: (replace: (pair: TlsPair) => void) => {
      replaceTls = replace
    },
    reload: (config: GatewayConfig) => Effect.flatMap(read(config), (secrets) => apply(config, secrets))
  }
})

export const layer: Layer.Layer<Doors, GatewayStartError, GatewayConfig> = Layer.scoped(Doors, make)
