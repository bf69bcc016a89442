import { Data } from "effect"

/** The mailbox is at its capacity; the message was refused, nothing happened. */
export class MailboxFull
  extends Data.TaggedError("MailboxFull")<{ readonly actor: string; readonly capacity: number }>
{}

/** The actor crashed on the very message that carried the ask. */
export class ActorCrashed
  extends Data.TaggedError("ActorCrashed")<{ readonly actor: string; readonly cause: unknown }>
{}

/** The actor has stopped: by order, or because it spent its restart budget. */
export class ActorStopped
  extends Data.TaggedError("ActorStopped")<{ readonly actor: string; readonly reason: string }>
{}

/** No answer within the deadline of the ask. */
export class AskTimedOut
  extends Data.TaggedError("AskTimedOut")<{ readonly actor: string; readonly deadlineMs: number }>
{}
