import { promptOf, startPrefill } from "../answer.ts"
import { dataEvent, jsonAnswer, jsonInner, requestIdOf, streamAnswer, wholeAnswer } from "../wireAnswers.ts"
import { type PodState, randomId } from "../PodState.ts"
import { specialTokens } from "../Tokenizer.ts"
import { badRequest, validationError } from "../VllmError.ts"

/** 16 kHz mono 16-bit samples, and Whisper's 50 encoder positions a second. */
const bytesPerSecond = 32_000
const tokensPerSecond = 50
const wordsPerSecond = 2

/** `POST /v1/audio/transcriptions` and `/v1/audio/translations`: a multipart form with a `file`. */
export const audio = (isTranslation: boolean) => async (pod: PodState, request: Request): Promise<Response> => {
  const form = await readForm(request)
  const file = form.get("file")
  if (!(file instanceof Blob)) {
    throw validationError([{ type: "missing", location: "body.file", message: "Field required", input: "None" }])
  }
  const model = pod.modelOf(textField(form, "model"))
  const seconds = Math.max(1, Math.ceil(file.size / bytesPerSecond))
  const tokenCount = Math.min(seconds * tokensPerSecond, pod.served.maxModelLen - 1)
  const bytes = new Uint8Array(await file.arrayBuffer())
  const tokens = [
    specialTokens.begin,
    ...Array.from({ length: tokenCount - 1 }, (_, index) => (bytes[index] ?? 0) + 16)
  ]
  const run = startPrefill(pod, promptOf(model, tokens, {}), request.signal)
  return wholeAnswer([run], () => {
    const text = pod.lorem.pieces.slice(0, seconds * wordsPerSecond).join("").trimEnd()
    const format = textField(form, "response_format") ?? "json"
    if (textField(form, "stream") === "true") return streamAnswer(transcriptStream(request, model, text))
    if (format === "text") return jsonAnswer(text)
    return jsonAnswer(isTranslation ? { text } : { text, usage: { type: "duration", seconds } })
  })
}

const readForm = async (request: Request): Promise<FormData> => {
  try {
    return await request.formData() as FormData
  } catch {
    throw badRequest("There was an error parsing the body")
  }
}

const textField = (form: FormData, name: string): string | undefined => {
  const value = form.get(name)
  return typeof value === "string" ? value : undefined
}

const transcriptStream = (request: Request, model: string, text: string): ReadableStream<Uint8Array> => {
  const id = `transcribe-${requestIdOf(request, randomId())}`
  const start =
    `{"id":${JSON.stringify(id)},"object":"transcription.chunk","created":${Math.floor(Date.now() / 1000)},` +
    `"model":${JSON.stringify(model)},"choices":[{"delta":{"content":"`
  const pieces = text.match(/.{1,4}/gs) ?? [""]
  const events = pieces.map((piece, index) => {
    const finish = index === pieces.length - 1 ? `,"finish_reason":"stop","stop_reason":null` : ""
    return dataEvent(`${start}${jsonInner(piece)}"}${finish}}]}`)
  })
  return new Blob([...events, "data: [DONE]\n\n"]).stream()
}
