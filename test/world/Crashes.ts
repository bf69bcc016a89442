/** An actor that crashed is back within this, but for one that crashes again and again. */
export const BACK_WITHIN_MS = 500

/** Which actors of one gateway process crashed of late, as its log tells, so that only what they do is excused. */
export class Crashes {
  private readonly atMs = new Map<string, number>()
  private readonly down = new Set<string>()
  private readonly nowMs: () => number

  constructor(nowMs: () => number) {
    this.nowMs = nowMs
  }

  clear(): void {
    this.atMs.clear()
    this.down.clear()
  }

  /** A line of the log, with its actor's name in front. */
  note(text: string): void {
    const crashed = /^\[([^\]]+)\] (?:actor .+? )?crashed( and stays down)?/.exec(text)
    const actor = crashed?.[1] ?? /the actor of (pod \S+) could not start/.exec(text)?.[1]
    if (actor !== undefined) this.atMs.set(actor, this.nowMs())
    if (actor !== undefined && crashed?.[2] !== undefined) this.down.add(actor)
  }

  /** Nobody restarts it; but a pod's may be made anew. */
  staysDown(actor: string): boolean {
    return this.down.has(actor)
  }

  lastMs(actor: string): number {
    return this.atMs.get(actor) ?? Number.NEGATIVE_INFINITY
  }

  /** Has it crashed so many milliseconds ago at most? */
  within(actor: string, ms: number): boolean {
    return this.nowMs() - this.lastMs(actor) <= ms
  }
}
