import type { PodAddress } from "../core/Pod.ts"
import type { PodTable } from "../core/PodTable.ts"

/** Which pod a policy's memory of a row is about: the table gives the row of a pod that left to the next one. */
export class RowOwners {
  /** Compared as objects, so that a pod that left and came back is mostly told from one that stayed. */
  private readonly addresses: Array<PodAddress | undefined> = []

  /** True once for each new pod on the row: what is remembered there is of another one. */
  changed(table: PodTable, row: number): boolean {
    const address = table.addresses[row]
    if (this.addresses[row] === address) return false
    while (this.addresses.length < row) this.addresses.push(undefined)
    this.addresses[row] = address
    return true
  }
}
