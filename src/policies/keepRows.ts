import type { PickContext } from "../core/Policy.ts"

/** Compacts the candidates in place to the rows that `keeps` is true for. */
export const keepRows = (context: PickContext, keeps: (row: number) => boolean): void => {
  const { candidates } = context
  let kept = 0
  for (let i = 0; i < context.candidateCount; i++) {
    const row = candidates[i] ?? 0
    if (keeps(row)) candidates[kept++] = row
  }
  context.candidateCount = kept
}

/** As `keepRows`, but keeps all of them when none would be left. */
export const preferRows = (context: PickContext, keeps: (row: number) => boolean): void => {
  for (let i = 0; i < context.candidateCount; i++) {
    if (keeps(context.candidates[i] ?? 0)) return keepRows(context, keeps)
  }
}
