/** A block of the slow model. `name` is the path of its prompt, unlike a hash it says who its ancestors are. */
interface ReferenceBlock {
  name: string | undefined
  refs: number
  computed: boolean
}

interface ReferenceRequest {
  readonly path: ReadonlyArray<number>
  readonly blocks: Array<ReferenceBlock>
  readonly extra: Array<ReferenceBlock>
}

export const nameOf = (path: ReadonlyArray<number>, depth: number): string => path.slice(0, depth).join(".")

/**
 * vLLM's block pool in the plainest form: every block exists from the start, the free queue is an array whose first
 * element is reused next, hashed blocks go back to its end and those without a hash to its front.
 */
export class ReferenceKv {
  queue: Array<ReferenceBlock>
  private capacity: number
  readonly cached = new Map<string, ReferenceBlock>()
  readonly held = new Set<ReferenceBlock>()
  private outputs = 0

  constructor(capacity: number) {
    this.capacity = capacity
    this.queue = Array.from({ length: capacity }, blank)
  }

  match(path: ReadonlyArray<number>): number {
    let depth = 0
    while (depth < path.length && this.cached.has(nameOf(path, depth + 1))) depth++
    return depth
  }

  admit(path: ReadonlyArray<number>, extraBlocks: number): ReferenceRequest {
    const request: ReferenceRequest = { path, blocks: [], extra: [] }
    this.extend(request)
    for (let i = 0; i < extraBlocks; i++) {
      const block = this.take()
      if (block !== undefined) request.extra.push(block)
    }
    return request
  }

  prefilled(request: ReferenceRequest): void {
    this.extend(request)
    for (const block of request.blocks) block.computed = true
  }

  release(request: ReferenceRequest, computed: boolean, outputBlocks: number): void {
    if (computed) { for (const block of request.blocks) block.computed = true }
    for (const block of request.extra) this.free(block)
    this.resize(this.capacity)
    const outputs: Array<ReferenceBlock> = []
    for (let left = computed ? outputBlocks : 0; left > 0; left--) {
      const block = this.take()
      if (block === undefined) break
      block.name = `output ${this.outputs++}`
      block.computed = true
      outputs.push(block)
    }
    for (const block of outputs.toReversed()) this.free(block)
    for (const block of request.blocks.toReversed()) this.free(block)
    this.resize(this.capacity)
  }

  resize(capacity: number): void {
    this.capacity = capacity
    while (this.queue.length + this.held.size < capacity) this.queue.unshift(blank())
    while (this.queue.length > 0 && this.queue.length + this.held.size > capacity) this.uncache(this.queue.shift())
  }

  private extend(request: ReferenceRequest): void {
    const { blocks, path } = request
    const matched = this.match(path)
    for (let depth = blocks.length + 1; depth <= matched; depth++) {
      const block = this.cached.get(nameOf(path, depth))
      if (block === undefined) throw new Error("a matched block is not cached")
      if (block.refs === 0) this.queue.splice(this.queue.indexOf(block), 1)
      block.refs++
      this.held.add(block)
      blocks.push(block)
    }
    for (let depth = matched + 1; depth <= path.length; depth++) {
      const block = this.take()
      if (block === undefined) break
      block.name = nameOf(path, depth)
      this.cached.set(block.name, block)
      blocks.push(block)
    }
  }

  private take(): ReferenceBlock | undefined {
    const block = this.queue.shift()
    if (block === undefined) return undefined
    this.uncache(block)
    block.refs = 1
    this.held.add(block)
    return block
  }

  private free(block: ReferenceBlock): void {
    block.refs--
    if (block.refs > 0) return
    this.held.delete(block)
    if (!block.computed) this.uncache(block)
    if (block.name === undefined) this.queue.unshift(block)
    else this.queue.push(block)
  }

  private uncache(block: ReferenceBlock | undefined): void {
    if (block?.name === undefined) return
    this.cached.delete(block.name)
    block.name = undefined
    block.computed = false
  }
}

const blank = (): ReferenceBlock => ({ name: undefined, refs: 0, computed: false })
