/** Work of one after another may hold the event loop for so long before it lets others run. */
const TURN_MS = 4

/** Does pieces of work in order, in short turns between which sockets and timers have theirs. */
export class ShortTurns {
  #last: Promise<unknown> = Promise.resolve()
  #turnSinceMs = 0

  take<Result>(work: () => Result): Promise<Result> {
    const done = this.#last.then(async () => {
      if (performance.now() - this.#turnSinceMs > TURN_MS) {
        await Bun.sleep(1)
        this.#turnSinceMs = performance.now()
      }
      return work()
    })
    this.#last = done.catch(() => {})
    return done
  }
}
