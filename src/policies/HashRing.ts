import { hashText } from "../core/BlockHash.ts"
import type { PodId } from "../core/Pod.ts"
import type { PodTable } from "../core/PodTable.ts"
import { mix32 } from "./hashKeys.ts"

/**
 * A ring of hashes with the same number of points for each pod of the table. A pod that joins or leaves moves only the
 * keys of its own points. Memory: 8 bytes a point, at least doubled when full.
 */
export class HashRing {
  /** Points on the ring. */
  size = 0
  /** Sorted. */
  private points = new Uint32Array(0)
  /** Row of the pod that each point belongs to. */
  private rows = new Uint32Array(0)
  private readonly ids: Array<PodId | undefined> = []
  private readonly joining: Uint32Array

  constructor(pointsPerPod: number) {
    this.joining = new Uint32Array(pointsPerPod)
  }

  /** Follows the fleet. Costs one comparison a row, and a pass over the ring for each pod that joined or left. */
  follow(table: PodTable): void {
    while (this.ids.length < table.rowCount) this.ids.push(undefined)
    for (let row = 0; row < this.ids.length; row++) {
      const id = table.addresses[row]?.id
      if (this.ids[row] === id) continue
      if (this.ids[row] !== undefined) this.remove(row)
      if (id !== undefined) this.insert(row, id)
      this.ids[row] = id
    }
  }

  /** Position of the first point at or after the key; the ring must not be empty. */
  positionOf(key: number): number {
    let low = 0
    let high = this.size
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.points[middle] ?? 0) < key) low = middle + 1
      else high = middle
    }
    return low === this.size ? 0 : low
  }

  rowAt(position: number): number {
    return this.rows[position] ?? -1
  }

  private insert(row: number, id: PodId): void {
    const { joining } = this
    const pod = hashText(id)
    for (let i = 0; i < joining.length; i++) joining[i] = mix32(pod, i)
    joining.sort()
    this.grow(this.size + joining.length)
    let from = this.size - 1
    let next = joining.length - 1
    this.size += joining.length
    for (let to = this.size - 1; next >= 0; to--) {
      if (from >= 0 && (this.points[from] ?? 0) > (joining[next] ?? 0)) {
        this.points[to] = this.points[from] ?? 0
        this.rows[to] = this.rows[from] ?? 0
        from--
      } else {
        this.points[to] = joining[next] ?? 0
        this.rows[to] = row
        next--
      }
    }
  }

  private remove(row: number): void {
    let kept = 0
    for (let at = 0; at < this.size; at++) {
      if (this.rows[at] === row) continue
      this.points[kept] = this.points[at] ?? 0
      this.rows[kept] = this.rows[at] ?? 0
      kept++
    }
    this.size = kept
  }

  private grow(size: number): void {
    if (size <= this.points.length) return
    const capacity = Math.max(size, 2 * this.points.length)
    const { points, rows } = this
    this.points = new Uint32Array(capacity)
    this.rows = new Uint32Array(capacity)
    this.points.set(points)
    this.rows.set(rows)
  }
}
