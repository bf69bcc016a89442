import type { PodTable } from "../core/PodTable.ts"
import { RowOwners } from "./RowOwners.ts"

/** By row: the prompt lengths that a pod's label asks for, such as `0-8192`. Parsed once for each pod. */
export class ContextRanges {
  private readonly label: string
  private readonly owners = new RowOwners()
  private readonly kinds: Array<"none" | "wrong" | "range"> = []
  private readonly least: Float64Array
  private readonly most: Float64Array

  constructor(label: string, podsMax: number) {
    this.label = label
    this.least = new Float64Array(podsMax)
    this.most = new Float64Array(podsMax)
  }

  /** none: the pod has no such label. wrong: it has one that is no range. */
  kindOf(table: PodTable, row: number): "none" | "wrong" | "range" {
    if (this.owners.changed(table, row)) this.read(row, table.addresses[row]?.labels?.[this.label])
    return this.kinds[row] ?? "none"
  }

  leastOf(row: number): number {
    return this.least[row] ?? 0
  }

  mostOf(row: number): number {
    return this.most[row] ?? 0
  }

  private read(row: number, text: string | undefined): void {
    while (this.kinds.length < row) this.kinds.push("none")
    const [, least, most] = /^\s*(\d+)\s*-\s*(\d+)\s*$/.exec(text ?? "") ?? []
    this.least[row] = Number(least)
    this.most[row] = Number(most)
    this.kinds[row] = text === undefined ? "none" : Number(least) <= Number(most) ? "range" : "wrong"
  }
}
