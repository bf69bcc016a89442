import { type ModelRewrites, modelRewrites } from "./ModelRewrite.ts"

/** What a cluster says of the requests to a pool. Discovery writes it, front ends read it, at any time. */
export class PoolRules implements ModelRewrites {
  private priorities: ReadonlyMap<string, number> = new Map()
  private rewrites: ModelRewrites = modelRewrites([])

  /** Priority of the objective (llm-d's InferenceObjective) of that name; undefined: there is none. */
  priorityOf(objective: string): number | undefined {
    return this.priorities.get(objective)
  }

  targetOf(name: string, random: number): string | undefined {
    return this.rewrites.targetOf(name, random)
  }

  names(): ReadonlyArray<string> {
    return this.rewrites.names()
  }

  replace(priorities: ReadonlyMap<string, number>, rewrites: ModelRewrites): void {
    this.priorities = priorities
    this.rewrites = rewrites
  }

  clear(): void {
    this.replace(new Map(), modelRewrites([]))
  }
}
