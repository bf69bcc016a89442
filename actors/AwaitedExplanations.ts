import type { ExplainPick } from "./SchedulerMessages.ts"

interface Awaited {
  readonly question: ExplainPick
  readonly untilS: number
}

/** Questions about models that no pod is known to serve, while the pods are asked for theirs: as a request would wait. */
export class AwaitedExplanations {
  private awaited: ReadonlyArray<Awaited> = []

  get count(): number {
    return this.awaited.length
  }

  add(question: ExplainPick, untilS: number): void {
    this.awaited = [...this.awaited, { question, untilS }]
  }

  /** Those whose time is up or whose model a pod serves now, which are awaited no more. */
  take(nowS: number, isKnown: (question: ExplainPick) => boolean): ReadonlyArray<ExplainPick> {
    if (this.awaited.length === 0) return []
    const isDue = ({ question, untilS }: Awaited): boolean => nowS >= untilS || isKnown(question)
    const due = this.awaited.filter(isDue)
    if (due.length > 0) this.awaited = this.awaited.filter((each) => !due.includes(each))
    return due.map(({ question }) => question).filter(({ reply }) => !reply.abandoned())
  }
}
