import { hashText } from "../../core/BlockHash.ts"
import { BadRequest } from "../../errors.ts"
import type { FrontOptions } from "../FrontOptions.ts"
import { sessionOf } from "../../policies/SessionSource.ts"
import type { ProxyRoute } from "../routes.ts"
import { nestsDeeper } from "../doors/jsonDepth.ts"
import { canonicalPrompt, type JsonObject, promptTokenIds } from "./canonicalPrompt.ts"
import { withModel } from "./jsonModel.ts"
import { type StreamTerms, termsOf } from "../rescue/StreamTerms.ts"
import { type FormField, FormScanner } from "./FormScanner.ts"
import { boundaryOf, withField } from "./multipart.ts"
import { type FeatureWorkshop, type Prompt, PromptFeatures } from "./PromptFeatures.ts"

/** All that reading needs of the headers; names are in lower case. */
type HeaderReader = Pick<Headers, "get">

/** A request as the pods will see it. */
export interface ReadRequest<Body = Uint8Array> {
  readonly features: PromptFeatures
  /** The client's own bytes unless an alias or a rewrite changed the model's name in them. */
  readonly body: Body
  /** The model that was asked for, its alias resolved. */
  readonly asked: string
  /** Names to exchange in the answer, where a rewrite of the cluster changed the model. */
  readonly renamed: { readonly from: string; readonly to: string } | undefined
  /** Undefined: no other pod could go on with its stream, or there is none, or rescues are off. */
  readonly terms?: StreamTerms | undefined
  /** False: running it twice may do harm, so it is sent again only when it surely did not run. */
  readonly isRepeatable: boolean
}

/** Whisper-like models see 30 s of audio, about 480 kB compressed, as 1,500 positions. */
const audioBytesPerWindow = 480_000
const audioTokensPerWindow = 1_500

const decoder = new TextDecoder()

/** Reads what a pick needs out of a request's body. Throws BadRequest. */
export const readRequest = (
  route: ProxyRoute,
  headers: HeaderReader,
  bytes: Uint8Array,
  options: FrontOptions,
  workshop: FeatureWorkshop
): ReadRequest =>
  route.prompt === "form"
    ? readForm(route, headers, bytes, options, workshop)
    : readJson(route, headers, bytes, options, workshop)

/** What a name stands for: its alias here, then what the cluster makes of that. */
const modelOf = (
  named: string,
  { aliases, rewrites }: FrontOptions
): Pick<ReadRequest, "asked" | "renamed"> & { readonly model: string } => {
  const asked = aliases.get(named) ?? named
  const model = rewrites.targetOf(asked, Math.random()) ?? asked
  return { asked, model, renamed: model === asked ? undefined : { from: model, to: named === "" ? model : named } }
}

const readJson = (
  route: ProxyRoute,
  headers: HeaderReader,
  bytes: Uint8Array,
  options: FrontOptions,
  workshop: FeatureWorkshop
): ReadRequest => {
  const body = parseObject(bytes, options.jsonDepthMax)
  const named = body["model"]
  if (named !== undefined && named !== null && typeof named !== "string") {
    throw new BadRequest({ message: "model must be a string", param: "model" })
  }
  refuseTransfers(body)
  const { asked, model, renamed } = modelOf(named ?? "", options)
  const ids = promptTokenIds(route.prompt, body)
  const prompt: Prompt = ids === undefined ? { text: promptText(route, body) } : { ids }
  const features = new PromptFeatures(
    {
      model,
      cacheSalt: typeof body["cache_salt"] === "string" ? body["cache_salt"] : "",
      prompt,
      followsPrefix: route.prompt !== "texts",
      outputTokensMax: route.generates ? outputTokensMax(body) : undefined,
      generates: route.generates,
      streams: body["stream"] === true,
      sessionHash: sessionHash(headers, body, options),
      headers,
      sessionTokens: options.sessionTokens
    },
    workshop
  )
  const mayContinue = features.streams && options.rescue.enabled
  const terms = mayContinue && (route.prompt === "chat" || route.prompt === "completions")
    ? termsOf(route.prompt, body, model)
    : undefined
  return {
    features,
    body: model === (named ?? "") ? bytes : withModel(bytes, model),
    asked,
    renamed,
    terms,
    isRepeatable: route.prompt !== "responses" || !mayAct(body["tools"])
  }
}

/** Tools of other types are run by the pod, or by a server that it asks; vLLM has them on the Responses route alone. */
const clientsTools: ReadonlySet<unknown> = new Set(["function", "custom"])

const mayAct = (tools: unknown): boolean =>
  Array.isArray(tools) && !tools.every((tool) => clientsTools.has((tool as JsonObject | null)?.["type"]))

/** In them are hosts that a pod fetches KV blocks or encoder outputs from, so no client may write them. */
const transferFields = ["kv_transfer_params", "ec_transfer_params"]

/** vLLM reads them out of its extension arguments too, and a generate request brings those with its sampling. */
const refuseTransfers = (body: JsonObject): void => {
  refuseTransfersIn(body, "")
  refuseTransfersIn(body["vllm_xargs"], "vllm_xargs.")
  refuseTransfersIn(
    (body["sampling_params"] as JsonObject | null | undefined)?.["extra_args"],
    "sampling_params.extra_args."
  )
}

const refuseTransfersIn = (arguments_: unknown, place: string): void => {
  if (typeof arguments_ !== "object" || arguments_ === null) return
  for (const field of transferFields) {
    const value = (arguments_ as JsonObject)[field]
    if (value === undefined || value === null) continue
    throw new BadRequest({ message: `${place}${field} is not for clients`, param: place + field })
  }
}

const readForm = (
  route: ProxyRoute,
  headers: HeaderReader,
  bytes: Uint8Array,
  options: FrontOptions,
  workshop: FeatureWorkshop
): ReadRequest => {
  const scanner = formScanner(route, headers)
  scanner.push(bytes)
  return readScannedForm(route, headers, inMemory(scanner, bytes), options, workshop)
}

/** For the form in a request's body. Throws BadRequest when it announces none. */
export const formScanner = (route: ProxyRoute, headers: HeaderReader): FormScanner => {
  const boundary = boundaryOf(headers.get("content-type") ?? "")
  if (boundary !== undefined) return new FormScanner(boundary, ["model", "stream"])
  throw new BadRequest({ message: `${route.path} takes multipart/form-data with a boundary` })
}

/** A form that a scanner has seen to its end, wherever its bytes are. */
export interface ScannedForm<Body> {
  readonly scanner: FormScanner
  readonly body: Body
  /** The body with another value in a field. */
  readonly withField: (field: FormField, value: string) => Body
}

export const inMemory = (scanner: FormScanner, body: Uint8Array): ScannedForm<Uint8Array> => ({
  scanner,
  body,
  withField: (field, value) => withField(body, field, value)
})

/** Reads a form that its scanner has seen. Throws BadRequest. */
export const readScannedForm = <Body extends { readonly byteLength: number }>(
  route: ProxyRoute,
  headers: HeaderReader,
  { body, scanner, withField }: ScannedForm<Body>,
  options: FrontOptions,
  workshop: FeatureWorkshop
): ReadRequest<Body> => {
  const fields = scanner.end()
  if (typeof fields === "string") throw new BadRequest({ message: fields })
  const named = fields.get("model")
  const { asked, model, renamed } = modelOf(named?.value ?? "", options)
  const features = new PromptFeatures(
    {
      model,
      cacheSalt: "",
      prompt: { tokensGuessed: audioTokensPerWindow * Math.ceil(body.byteLength / audioBytesPerWindow) },
      followsPrefix: false,
      outputTokensMax: undefined,
      generates: route.generates,
      streams: fields.get("stream")?.value.toLowerCase() === "true",
      sessionHash: sessionHash(headers, {}, options),
      headers,
      sessionTokens: options.sessionTokens
    },
    workshop
  )
  const isNamed = named === undefined || model === named.value
  return { features, body: isNamed ? body : withField(named, model), asked, renamed, isRepeatable: true }
}

const parseObject = (bytes: Uint8Array, depthMax: number): JsonObject => {
  let value: unknown
  try {
    value = JSON.parse(decoder.decode(bytes))
  } catch (cause) {
    const detail = cause instanceof Error ? cause.message : String(cause)
    throw new BadRequest({
      message: bytes.length === 0 ? "the request has no body" : `the body is not JSON: ${detail}`
    })
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new BadRequest({ message: "the body must be a JSON object" })
  }
  if (nestsDeeper(value, depthMax)) {
    throw new BadRequest({ message: `the body nests deeper than ${depthMax} levels, the limit of this gateway` })
  }
  return value as JsonObject
}

const promptText = (route: ProxyRoute, body: JsonObject): string => {
  try {
    return canonicalPrompt(route.prompt, body)
  } catch (cause) {
    if (cause instanceof RangeError) throw new BadRequest({ message: "the body is nested too deeply" })
    throw cause
  }
}

const outputTokensMax = (body: JsonObject): number | undefined => {
  const sampling = body["sampling_params"] as JsonObject | null | undefined
  const value = body["max_completion_tokens"] ?? body["max_tokens"] ?? body["max_output_tokens"] ??
    sampling?.["max_tokens"]
  return typeof value === "number" && value > 0 ? value : undefined
}

/** Where the policy looks first; then vLLM's own order: header, body, then the extension arguments. 0: no session. */
export const sessionHash = (
  headers: HeaderReader,
  body: JsonObject,
  { sessionSources }: Pick<FrontOptions, "sessionSources">
): number => {
  const named = sessionOf(headers, sessionSources)
  if (named !== "") return hashText(named)
  const extra = body["vllm_xargs"] as JsonObject | null | undefined
  const key = headers.get("x-session-id") ?? body["session_id"] ?? extra?.["session_id"] ?? body["prompt_cache_key"]
  return typeof key === "string" && key !== "" ? hashText(key) : 0
}
