import type { StreamTerms } from "./StreamTerms.ts"
import type { TokenTrail } from "./TokenTrail.ts"

const brace = 0x7b
const wanted = Buffer.from("\"return_token_ids\":true,")

/** The body of a stream whose pod shall tell the ids of its tokens, which is what makes it go on exactly. */
export const withTokenIds = (body: Uint8Array): Uint8Array => {
  const at = body.indexOf(brace) + 1
  return Buffer.concat([body.subarray(0, at), wanted, body.subarray(at)])
}

/** The request with which another pod goes on: a completion of the very tokens so far. Undefined: nothing is left to say. */
export const continuedBody = (
  terms: StreamTerms,
  trail: TokenTrail,
  maxModelLen: number | undefined
): Uint8Array | undefined => {
  const said = trail.outputTokens
  const room = maxModelLen === undefined ? undefined : maxModelLen - trail.promptTokens - said
  const left = terms.outputTokensMax === undefined ? room : terms.outputTokensMax - said
  if (left === undefined || left < 1) return undefined
  const usage = `{"include_usage":true,"continuous_usage_stats":${terms.continuousUsage}}`
  const members = [
    `"prompt":[${trail.ids()}]`,
    `"max_tokens":${left}`,
    `"min_tokens":${Math.max(0, terms.outputTokensMin - said)}`,
    `"stream":true,"stream_options":${usage},"return_token_ids":true`
  ]
  if (terms.parameters !== "") members.unshift(terms.parameters)
  return Buffer.from(`{${members.join(",")}}`)
}
