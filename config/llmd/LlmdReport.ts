import type { Support } from "./LlmdPlugin.ts"

/** What became of one plug-in or section of llm-d's configuration. */
export interface ReportRow {
  /** Its name in the file; that of a section, such as `flowControl.maxBytes`. */
  readonly name: string
  /** Of a plug-in, where it differs from the name. */
  readonly type: string | undefined
  readonly support: Support | "no equivalent"
  readonly note: string
  /** What marginal-cost has in its place; undefined for what does not choose pods. */
  readonly inMarginalCost: string | undefined
}

/** How the file was read. */
export interface LlmdReport {
  readonly apiVersion: string
  readonly rows: ReadonlyArray<ReportRow>
  /** What an operator should know at the start. */
  readonly warnings: ReadonlyArray<string>
}
