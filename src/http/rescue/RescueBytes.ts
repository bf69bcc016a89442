/** Memory of the tokens of all open streams that could be rescued. */
export class RescueBytes {
  private readonly bytesMax: () => number
  private held = 0

  /** Asked at each taking, since settings may change. */
  constructor(bytesMax: () => number) {
    this.bytesMax = bytesMax
  }

  get heldBytes(): number {
    return this.held
  }

  /** False: there is no room, and nothing was taken. */
  take(bytes: number): boolean {
    if (this.held + bytes > this.bytesMax()) return false
    this.held += bytes
    return true
  }

  give(bytes: number): void {
    this.held -= bytes
  }
}
