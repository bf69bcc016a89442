import type { PodId } from "../core/Pod.ts"
import type { PodTable } from "../core/PodTable.ts"

/** The pods of the table with their rows, in the order of these. */
export const forEachPod = (table: PodTable, visit: (pod: PodId, row: number) => void): void => {
  for (let row = 0; row < table.rowCount; row++) {
    const address = table.addresses[row]
    if (address !== undefined) visit(address.id, row)
  }
}
