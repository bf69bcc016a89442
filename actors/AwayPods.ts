/** Pods of one pool that have not answered for several looks. Each pod's own actor says when it is one of them. */
export class AwayPods {
  readonly #pods = new Set<object>()

  /** Idempotent. `pod` stands for one life of the pod's actor, since an old one may end behind the start of the next. */
  note(pod: object, isAway: boolean): void {
    if (isAway) this.#pods.add(pod)
    else this.#pods.delete(pod)
  }

  get count(): number {
    return this.#pods.size
  }
}
