/** gRPC status codes that the picker ends streams with. */
export const grpcStatus = {
  ok: 0,
  cancelled: 1,
  invalidArgument: 3,
  notFound: 5,
  resourceExhausted: 8,
  failedPrecondition: 9,
  unimplemented: 12,
  internal: 13,
  unavailable: 14
} as const

export type GrpcStatus = (typeof grpcStatus)[keyof typeof grpcStatus]

export class GrpcError extends Error {
  readonly status: GrpcStatus

  constructor(status: GrpcStatus, message: string) {
    super(message)
    this.status = status
  }
}

/** As the header `grpc-message` wants it: percent-encoded where it is not plain ASCII. */
export const grpcMessage = (text: string): string => text.replace(/[^ -$&-~]+/gu, (odd) => encodeURIComponent(odd))
