import { Data } from "effect"

/** A pod can't be measured; `why` says what is wrong and what to do, for people. */
export class CalibrationProblem extends Data.TaggedError("CalibrationProblem")<{ readonly why: string }> {
  override get message(): string {
    return this.why
  }
}

/** The pod refused a request with this status, such as 503 for a full queue. */
export class RequestRefused extends Data.TaggedError("RequestRefused")<{
  readonly status: number
  readonly why: string
}> {
  override get message(): string {
    return `the pod answered ${this.status}: ${this.why}`
  }
}
