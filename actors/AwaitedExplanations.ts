import { ActorCrashed } from "./runtime/errors.ts"
import type { ExplainPick } from "./SchedulerMessages.ts"

interface Awaited {
  readonly question: ExplainPick
  readonly untilS: number
}

/** Questions about models that no pod is known to serve, while the pods are asked for theirs: as a request would wait. */
export class AwaitedExplanations {
  private awaited: Array<Awaited> = []

  get count(): number {
    return this.awaited.length
  }

  add(question: ExplainPick, untilS: number): void {
    this.awaited.push({ question, untilS })
  }

  /**
   * Answers those whose time is up or whose model a pod serves now, which are awaited no more. One that makes either
   * function throw is failed with what was thrown, or it would break the scheduler again and again; the others stay.
   */
  answerDue(nowS: number, isKnown: (question: ExplainPick) => boolean, answer: (question: ExplainPick) => void): void {
    for (const each of this.awaited) {
      const { question, untilS } = each
      try {
        const isOver = question.reply.abandoned()
        if (!isOver && nowS < untilS && !isKnown(question)) continue
        this.drop(each)
        if (!isOver) answer(question)
      } catch (cause) {
        this.drop(each)
        question.reply.fail(new ActorCrashed({ actor: "scheduler", cause }))
        throw cause
      }
    }
  }

  private drop(each: Awaited): void {
    this.awaited = this.awaited.filter((other) => other !== each)
  }
}
