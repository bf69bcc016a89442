import { hashText } from "../core/BlockHash.ts"
import type { PodId } from "../core/Pod.ts"
import type { PodTable } from "../core/PodTable.ts"
import { mix32 } from "./hashKeys.ts"

/** A point and the row that it belongs to are one number: point · 65536 + row. */
const ROWS = 65_536

/**
 * A ring of hashes with the same number of points for each pod of the table. A pod that joins or leaves moves only the
 * keys of its own points. Memory: 8 bytes a point, and as much again when the ring has doubled to make room.
 */
export class HashRing {
  /** Points on the ring. */
  size = 0
  private readonly pointsPerPod: number
  /** Sorted; only the first `size` count. */
  private points = new Float64Array(0)
  /** By row, the pod whose points are on the ring. */
  private readonly ids: Array<PodId | undefined> = []

  constructor(pointsPerPod: number) {
    this.pointsPerPod = pointsPerPod
  }

  /** Follows the fleet. Costs one comparison a row, and a pass over the ring when pods joined or left. */
  follow(table: PodTable): void {
    while (this.ids.length < table.rowCount) this.ids.push(undefined)
    let left = 0
    let joined = 0
    for (let row = 0; row < this.ids.length; row++) {
      const id = table.addresses[row]?.id
      if (this.ids[row] === id) continue
      if (this.ids[row] !== undefined) left++
      if (id !== undefined) joined++
    }
    if (left > 0) this.removeLeft(table)
    if (joined > 0) this.insertJoined(table, joined)
    if (left + joined > 0) { for (let row = 0; row < this.ids.length; row++) this.ids[row] = table.addresses[row]?.id }
  }

  /** Position of the first point at or after the key, a 32-bit hash; the ring must not be empty. */
  positionOf(key: number): number {
    let low = 0
    let high = this.size
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.points[middle] ?? 0) < key * ROWS) low = middle + 1
      else high = middle
    }
    return low === this.size ? 0 : low
  }

  rowAt(position: number): number {
    return (this.points[position] ?? 0) % ROWS
  }

  private removeLeft(table: PodTable): void {
    let kept = 0
    for (let at = 0; at < this.size; at++) {
      const row = this.rowAt(at)
      if (this.ids[row] === table.addresses[row]?.id) this.points[kept++] = this.points[at] ?? 0
    }
    this.size = kept
  }

  /** Sorts the points of those that joined and merges them in from the end. */
  private insertJoined(table: PodTable, joined: number): void {
    const added = new Float64Array(joined * this.pointsPerPod)
    let count = 0
    for (let row = 0; row < this.ids.length; row++) {
      const id = table.addresses[row]?.id
      if (id === undefined || this.ids[row] === id) continue
      const pod = hashText(id)
      for (let i = 0; i < this.pointsPerPod; i++) added[count++] = mix32(pod, i) * ROWS + row
    }
    added.sort()
    this.grow(this.size + count)
    let from = this.size - 1
    let next = count - 1
    for (let to = this.size + count - 1; next >= 0; to--) {
      const old = from < 0 ? -1 : this.points[from] ?? 0
      const young = added[next] ?? 0
      this.points[to] = Math.max(old, young)
      if (old > young) from--
      else next--
    }
    this.size += count
  }

  private grow(size: number): void {
    if (size <= this.points.length) return
    const { points } = this
    this.points = new Float64Array(Math.max(size, 2 * points.length))
    this.points.set(points)
  }
}
