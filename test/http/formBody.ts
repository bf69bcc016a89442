import { createHash } from "node:crypto"

const crlf = "\r\n"

/** A form with a file and a model, in either order. */
export const formParts = (model: string, modelFirst: boolean): readonly [before: string, after: string] => {
  const modelPart = `--B${crlf}content-disposition: form-data; name="model"${crlf}${crlf}${model}${crlf}`
  const filePart = `--B${crlf}content-disposition: form-data; name="file"; filename="a.wav"${crlf}${crlf}`
  return modelFirst ? [modelPart + filePart, `${crlf}--B--${crlf}`] : [filePart, `${crlf}${modelPart}--B--${crlf}`]
}

export const formType = "multipart/form-data; boundary=B"

export const sha256 = (bytes: Uint8Array | string): string => createHash("sha256").update(bytes).digest("hex")

/** A pod that answers with what it got; 503 as long as `refuses` says so, after it has read everything. */
export const hashingPod = (refuses: () => boolean = () => false) =>
  Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    maxRequestBodySize: Number.MAX_SAFE_INTEGER,
    fetch: async (request) => {
      if (request.method !== "POST") return engineAnswer(new URL(request.url).pathname)
      const hash = createHash("sha256")
      let bytes = 0
      const write = (piece: Uint8Array) => {
        hash.update(piece)
        bytes += piece.length
      }
      await request.body?.pipeTo(new WritableStream({ write }))
      if (refuses()) return new Response("busy", { status: 503 })
      return Response.json({ bytes, announced: request.headers.get("content-length"), sha: hash.digest("hex") })
    }
  })

const gauge = (name: string) => `# TYPE vllm:${name} gauge\nvllm:${name}{engine="0",model_name="whisper"} 0\n`

/** What makes it a healthy pod. */
const engineAnswer = (path: string): Response => {
  if (path === "/v1/models") return Response.json({ object: "list", data: [{ id: "whisper", object: "model" }] })
  return new Response(path === "/metrics" ? gauge("num_requests_running") + gauge("num_requests_waiting") : "")
}
