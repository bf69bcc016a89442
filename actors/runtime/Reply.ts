/** The asker's end of a message. Answering twice is harmless: the first answer counts. */
export interface Reply<A, E> {
  readonly succeed: (value: A) => void
  readonly fail: (error: E) => void
  /** The asker gave up (deadline or interrupt); the actor may skip the work. */
  readonly abandoned: () => boolean
}
