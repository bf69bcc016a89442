import type { PodTable } from "./PodTable.ts"

/** What others than this gateway run on the pods, as the scrapes tell; writes those columns of the table. */
export class ForeignLoad {
  private readonly table: PodTable
  /** By row: what the last scrape saw beyond our own requests. */
  private readonly running: Float64Array
  private readonly waiting: Float64Array

  constructor(table: PodTable, podsMax: number) {
    this.table = table
    this.running = new Float64Array(podsMax)
    this.waiting = new Float64Array(podsMax)
  }

  /** A scrape races with requests that come and go; only what two in a row saw is somebody else's. */
  observe(row: number, running: number, waiting: number): void {
    const { table } = this
    const ownOpen = (table.decoding[row] ?? 0) + (table.prefilling[row] ?? 0)
    const foreign = Math.max(0, running + waiting - ownOpen)
    const foreignWaiting = Math.min(foreign, Math.max(0, waiting - (table.prefilling[row] ?? 0)))
    const foreignRunning = foreign - foreignWaiting
    table.foreignWaiting[row] = Math.min(foreignWaiting, this.waiting[row] ?? 0)
    table.foreignRunning[row] = Math.min(foreignRunning, this.running[row] ?? 0)
    this.waiting[row] = foreignWaiting
    this.running[row] = foreignRunning
  }

  /** What the last scrape saw is of another life of the pod. */
  newLife(row: number): void {
    this.running[row] = 0
    this.waiting[row] = 0
  }
}
