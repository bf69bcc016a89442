import { GrpcError, grpcStatus } from "./grpc/grpcStatus.ts"
import type { CallHandler, GrpcCall } from "./grpc/GrpcCall.ts"
import type { Picker } from "./Picker.ts"
import { FrameWriter } from "./wire/FrameWriter.ts"
import { MalformedMessage, ProtoReader } from "./wire/ProtoReader.ts"

/** gRPC's health checking protocol, `grpc.health.v1`: only `Check`; watchers are told that there is no `Watch`. */
export const healthCheckPath = "/grpc.health.v1.Health/Check"
export const extProcService = "envoy.service.ext_proc.v3.ExternalProcessor"

const serviceField = 1
const statusField = 1
const statusFrame = (status: number): Buffer => {
  const writer = new FrameWriter()
  writer.number(statusField, status)
  writer.frame(0)
  return writer.take()
}
const serving = statusFrame(1)
const notServing = statusFrame(2)

/** Names that the endpoint picker protocol asks for. */
const livenessNames: ReadonlySet<string> = new Set(["liveness"])
const readinessNames: ReadonlySet<string> = new Set(["", "readiness", extProcService])

export class HealthCheck implements CallHandler {
  private readonly picker: Picker
  private readonly call: GrpcCall
  private answered = false

  constructor(picker: Picker, call: GrpcCall) {
    this.picker = picker
    this.call = call
  }

  readonly onMessage = (message: Buffer): void => {
    if (this.answered) return
    this.answered = true
    const name = serviceOf(message)
    const { healthService } = this.picker.deps.options
    if (livenessNames.has(name)) this.call.send(serving)
    else if (readinessNames.has(name) || (healthService !== "" && name === healthService)) {
      // A picker without pods is ready: it is its duty to answer 503 then.
      this.call.send(this.picker.draining ? notServing : serving)
    } else throw new GrpcError(grpcStatus.notFound, `there is no service "${name}" here`)
    this.call.finish(grpcStatus.ok)
  }

  readonly onHalfClose = (): void => {
    this.call.finish(grpcStatus.invalidArgument, "the call ended without a request")
  }

  readonly onGone = (): void => {}
}

const serviceOf = (message: Buffer): string => {
  try {
    const reader = new ProtoReader(message)
    let name = ""
    while (reader.next()) {
      if (reader.field === serviceField) name = reader.text()
      else reader.skip()
    }
    return name
  } catch (cause) {
    if (cause instanceof MalformedMessage) throw new GrpcError(grpcStatus.invalidArgument, cause.message)
    throw cause
  }
}
