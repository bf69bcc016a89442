import { Effect, Schedule } from "effect"
import type { ActorRef } from "./Actor.ts"
import type { Message } from "./Behavior.ts"

const FULL_MAILBOX_RETRY_MS = 20

/** Waits while the mailbox is full, for what must not be lost. An actor that has stopped has nothing left to be told. */
export const tellPatiently = <M extends Message>(ref: ActorRef<M>, message: M): Effect.Effect<void> =>
  ref.tell(message).pipe(
    Effect.retry({
      while: (refused) => refused._tag === "MailboxFull",
      schedule: Schedule.spaced(FULL_MAILBOX_RETRY_MS)
    }),
    Effect.ignore
  )
