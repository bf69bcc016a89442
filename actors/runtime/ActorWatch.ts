import { Context } from "effect"

/** Hears of the crashes of actors, where somebody provides it to those who start them. */
export class ActorWatch extends Context.Tag("warmroute/ActorWatch")<ActorWatch, {
  /** `name` as in the log. */
  readonly crashed: (name: string) => void
}>() {}
