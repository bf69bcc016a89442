import type { Refusal } from "../src/core/Placement.ts"
import type { WaitRefusal } from "../src/core/waiting/AdmissionOptions.ts"
import {
  type GatewayError,
  GatewayStopping,
  InternalError,
  NoPodAvailable,
  Overloaded,
  QueueRefused,
  TimedOut,
  UnknownModel
} from "../src/errors.ts"
import { ActorCrashed, ActorStopped, AskTimedOut, MailboxFull } from "./runtime/errors.ts"

/** What a client is told when its request is not placed. */
export const refusalError = (
  refusal: Refusal | WaitRefusal,
  model: string,
  /** Seconds after which trying again makes sense: without a pod, and by the pace of those that wait. */
  retryAfterS: { readonly pod: number; readonly queue: number },
  openRequestsMax: number
): GatewayError => {
  switch (refusal) {
    case "unknown-model":
      return new UnknownModel({ message: `The model \`${model}\` does not exist.`, param: "model" })
    case "no-pod":
      return new NoPodAvailable({
        message: model === ""
          ? "No healthy pod is available."
          : `No healthy pod serves the model \`${model}\` at present.`,
        retryAfterS: retryAfterS.pod
      })
    case "too-many-open":
      return new Overloaded(
        "too_many_open_requests",
        `The gateway has ${openRequestsMax} requests open, which is its limit (limits.openRequestsMax).`,
        retryAfterS.queue
      )
    case "filtered":
      return new Overloaded("pods_filtered", "Every pod was refused by the policy's filters.", retryAfterS.queue)
    case "queue-full":
      return new QueueRefused(
        "queue_full",
        "Every pod is busy and no more requests can wait (waiting.requestsMax, waiting.bytesMax).",
        retryAfterS.queue
      )
    case "queue-too-long":
      return new QueueRefused(
        "queue_too_long",
        "Every pod is busy, and at their pace of late the request's turn would come after the time that it may wait.",
        retryAfterS.queue
      )
    case "client-left":
      return new QueueRefused("queue_left", "The client left while its request waited.", retryAfterS.queue)
    case "waited-too-long":
      return new QueueRefused(
        "queue_timeout",
        "Every pod stayed busy for as long as the request may wait.",
        retryAfterS.queue
      )
    case "broken":
      return new InternalError({ message: "The scheduler failed on this request; it has restarted." })
    default:
      return refusal satisfies never
  }
}

/** What a client is told when the scheduler did not answer. */
export const toGatewayError = (error: unknown, askDeadlineMs: number, retryAfterS: number): unknown => {
  if (error instanceof MailboxFull) {
    const message = "The scheduler's mailbox is full (limits.mailboxCapacity)."
    return new Overloaded("scheduler_mailbox_full", message, retryAfterS)
  }
  if (error instanceof AskTimedOut) {
    return new TimedOut("scheduler", `The scheduler did not answer within ${askDeadlineMs} ms (limits.askDeadline).`)
  }
  if (error instanceof ActorCrashed) {
    return new InternalError({ message: "The scheduler failed on this request; it has restarted." })
  }
  if (error instanceof ActorStopped) return new GatewayStopping()
  return error
}
