/**
 * The one error layer: everything the gateway itself may answer a client with.
 * A pod's own error is not here, it passes through as it is.
 */
interface GatewayErrorFields {
  readonly message: string
  /** The offending field of the request, as OpenAI names it. */
  readonly param?: string | undefined
  /** For `Retry-After`, only where it is honest. */
  readonly retryAfterS?: number | undefined
}

export abstract class GatewayError extends Error {
  abstract readonly _tag: string
  abstract readonly status: 400 | 401 | 403 | 404 | 405 | 408 | 413 | 414 | 415 | 429 | 431 | 500 | 502 | 503 | 504
  /** OpenAI's `error.type`. */
  abstract readonly type: string
  /** Our machine-readable reason, OpenAI's `error.code`. */
  abstract readonly code: string
  readonly param: string | undefined
  readonly retryAfterS: number | undefined

  constructor(fields: GatewayErrorFields) {
    super(fields.message)
    this.param = fields.param
    this.retryAfterS = fields.retryAfterS
  }
}

/** The request can't be understood: bad JSON, wrong type, bad multipart. */
export class BadRequest extends GatewayError {
  readonly _tag = "BadRequest"
  readonly status = 400
  readonly type = "invalid_request_error"
  readonly code = "bad_request"
}

/** The configuration that an operator wants taken is wrong; the message says where. */
export class BadConfiguration extends GatewayError {
  readonly _tag = "BadConfiguration"
  readonly status = 400
  readonly type = "invalid_request_error"
  readonly code = "bad_configuration"
}

export class UnknownRoute extends GatewayError {
  readonly _tag = "UnknownRoute"
  readonly status = 404
  readonly type = "invalid_request_error"
  readonly code = "unknown_route"
}

/** The route is known, but not with this method; the answer's `Allow` names the right ones. */
export class MethodNotAllowed extends GatewayError {
  readonly _tag = "MethodNotAllowed"
  readonly status = 405
  readonly type = "invalid_request_error"
  readonly code = "method_not_allowed"
}

/** No pod serves the model that the request names. */
export class UnknownModel extends GatewayError {
  readonly _tag = "UnknownModel"
  readonly status = 404
  readonly type = "invalid_request_error"
  readonly code = "model_not_found"
}

export class BodyTooLarge extends GatewayError {
  readonly _tag = "BodyTooLarge"
  readonly status = 413
  readonly type = "invalid_request_error"
  readonly code = "body_too_large"
}

/** No key, or one that does not open this gateway. */
export class Unauthorized extends GatewayError {
  readonly _tag = "Unauthorized"
  readonly status = 401
  readonly type = "authentication_error"
  readonly code: "missing_api_key" | "invalid_api_key" | "expired_api_key"

  constructor(code: Unauthorized["code"], message: string) {
    super({ message })
    this.code = code
  }
}

/** The key is good, but not for this model. */
export class ModelForbidden extends GatewayError {
  readonly _tag = "ModelForbidden"
  readonly status = 403
  readonly type = "permission_error"
  readonly code = "model_not_allowed"
}

/** A key has used up what it may have now. */
export class KeyLimited extends GatewayError {
  readonly _tag = "KeyLimited"
  readonly status = 429
  readonly type = "rate_limit_error"
  readonly code: "requests_per_minute_exceeded" | "tokens_per_minute_exceeded" | "key_open_requests_exceeded"

  constructor(code: KeyLimited["code"], message: string, retryAfterS: number) {
    super({ message, retryAfterS })
    this.code = code
  }
}

export class UrlTooLong extends GatewayError {
  readonly _tag = "UrlTooLong"
  readonly status = 414
  readonly type = "invalid_request_error"
  readonly code = "url_too_long"
}

/** Too many headers, or too much in them. */
export class HeadersTooLarge extends GatewayError {
  readonly _tag = "HeadersTooLarge"
  readonly status = 431
  readonly type = "invalid_request_error"
  readonly code = "headers_too_large"
}

/** The client took too long to send its request. */
export class BodyTimedOut extends GatewayError {
  readonly _tag = "BodyTimedOut"
  readonly status = 408
  readonly type = "timeout_error"
  readonly code = "body_timed_out"
}

/** What of the gateway's is full: one code for each bound, so that an operator knows which setting it was. */
type OverloadCode =
  /** limits.openRequestsMax, or the picker's extproc.openStreamsMax. */
  | "too_many_open_requests"
  /** limits.requestBytesMax: the memory of all bodies. */
  | "request_memory_full"
  /** limits.spooledBytesMax: the disk of all bodies. */
  | "request_disk_full"
  /** limits.mailboxCapacity. */
  | "scheduler_mailbox_full"
  /** limits.connectionsPerPodMax, at every pod that was tried. */
  | "pod_connections_full"
  /** The policy's filters refuse every pod. */
  | "pods_filtered"
  /** Operators' questions and reloads. */
  | "too_many_explanations"
  | "too_many_reloads"

/** The gateway refuses now and would take the request later. */
export class Overloaded extends GatewayError {
  readonly _tag = "Overloaded"
  readonly status = 429
  readonly type = "rate_limit_error"
  readonly code: OverloadCode

  constructor(code: OverloadCode, message: string, retryAfterS: number) {
    super({ message, retryAfterS })
    this.code = code
  }
}

/** Every pod is busy and the request can't wait (any longer) for one. queue_left is for nobody: the client is gone. */
export class QueueRefused extends GatewayError {
  readonly _tag = "QueueRefused"
  readonly status = 429
  readonly type = "rate_limit_error"
  readonly code: "queue_full" | "queue_too_long" | "queue_timeout" | "queue_left"

  constructor(code: QueueRefused["code"], message: string, retryAfterS: number) {
    super({ message, retryAfterS })
    this.code = code
  }
}

/** The disk did not take a body that is too large for memory, or did not give it back. */
export class SpoolFailed extends GatewayError {
  readonly _tag = "SpoolFailed"
  readonly status = 503
  readonly type = "service_unavailable_error"
  readonly code = "spool_failed"
}

/** No pod is known, or none of those that serve the model is healthy. */
export class NoPodAvailable extends GatewayError {
  readonly _tag = "NoPodAvailable"
  readonly status = 503
  readonly type = "service_unavailable_error"
  readonly code = "no_pod_available"
}

/** The gateway has been told to end, or must: whoever asks again comes to another one, or to its successor. */
export class GatewayStopping extends GatewayError {
  readonly _tag = "GatewayStopping"
  readonly status = 503
  readonly type = "service_unavailable_error"
  readonly code = "gateway_stopping"

  constructor() {
    super({ message: "this gateway is stopping and could not wait for the answer any longer", retryAfterS: 1 })
  }
}

/** The pod could not be reached or broke off before its answer began. */
export class PodUnreachable extends GatewayError {
  readonly _tag = "PodUnreachable"
  readonly status = 502
  readonly type = "bad_gateway_error"
  readonly code = "pod_unreachable"
}

/** The phase of a request whose time was over; scheduler: no pod was picked in time. */
export type TimeoutPhase = "scheduler" | "connect" | "first-byte" | "between-bytes" | "total"

/** The pod, or the scheduler, did not answer in time. */
export class TimedOut extends GatewayError {
  readonly _tag = "TimedOut"
  readonly status = 504
  readonly type = "timeout_error"
  readonly code: string
  readonly phase: TimeoutPhase

  constructor(phase: TimeoutPhase, message: string) {
    super({ message })
    this.phase = phase
    this.code = timeoutCodes[phase]
  }
}

const timeoutCodes: Readonly<Record<TimeoutPhase, string>> = {
  scheduler: "timed_out",
  connect: "connect_timed_out",
  "first-byte": "first_byte_timed_out",
  "between-bytes": "between_bytes_timed_out",
  total: "request_timed_out"
}

/** A defect of ours. */
export class InternalError extends GatewayError {
  readonly _tag = "InternalError"
  readonly status = 500
  readonly type = "internal_error"
  readonly code = "internal_error"
}
