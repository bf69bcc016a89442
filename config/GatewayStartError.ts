import { Data } from "effect"

/** The gateway did not start. `message` is for the operator: what, where, and what to do. */
export class GatewayStartError extends Data.TaggedError("GatewayStartError")<{ readonly message: string }> {}
