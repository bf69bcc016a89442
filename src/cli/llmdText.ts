import type { LlmdReport, ReportRow } from "../../config/llmd/LlmdReport.ts"

/** How llm-d's file was read, as a table, and what the gateway's own policy would have in its place. */
export const llmdText = ({ apiVersion, rows }: LlmdReport): string => {
  const replaced = rows.filter(({ inMarginalCost }) => inMarginalCost !== undefined)
  return [
    `EndpointPickerConfig (${apiVersion})`,
    "",
    ...table(rows.map((row) => [nameOf(row), row.support, row.note])),
    ...(replaced.length === 0 ? [] : [
      "",
      "WARMROUTE_POLICY=marginal-cost would have in place of",
      "",
      ...table(replaced.map((row) => [nameOf(row), row.inMarginalCost ?? ""])),
      "",
      "Beside these terms it has no weights and reads no scrape; WARMROUTE_WAITING_ENABLED=true lets requests wait for it."
    ])
  ].join("\n")
}

const nameOf = ({ name, type }: ReportRow): string => type === undefined ? name : `${name} (${type})`

const table = (rows: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> => {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ")}`.trimEnd())
}
