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
  abstract readonly status: 400 | 401 | 403 | 404 | 405 | 408 | 413 | 415 | 429 | 431 | 500 | 502 | 503 | 504
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

/** The client took too long to send its request. */
export class BodyTimedOut extends GatewayError {
  readonly _tag = "BodyTimedOut"
  readonly status = 408
  readonly type = "timeout_error"
  readonly code = "body_timed_out"
}

/** The gateway refuses now and would take the request later. */
export class Overloaded extends GatewayError {
  readonly _tag = "Overloaded"
  readonly status = 429
  readonly type = "rate_limit_error"
  readonly code = "gateway_overloaded"
}

/** No pod is known, or none of those that serve the model is healthy. */
export class NoPodAvailable extends GatewayError {
  readonly _tag = "NoPodAvailable"
  readonly status = 503
  readonly type = "service_unavailable_error"
  readonly code = "no_pod_available"
}

/** The pod could not be reached or broke off before its answer began. */
export class PodUnreachable extends GatewayError {
  readonly _tag = "PodUnreachable"
  readonly status = 502
  readonly type = "bad_gateway_error"
  readonly code = "pod_unreachable"
}

/** The pod, or the scheduler, did not answer in time. */
export class TimedOut extends GatewayError {
  readonly _tag = "TimedOut"
  readonly status = 504
  readonly type = "timeout_error"
  readonly code = "timed_out"
}

/** A defect of ours. */
export class InternalError extends GatewayError {
  readonly _tag = "InternalError"
  readonly status = 500
  readonly type = "internal_error"
  readonly code = "internal_error"
}
