/** Which model a request for another name gets; llm-d's InferenceModelRewrite. */
export interface RewriteRule {
  /** Names that the rule is for, exactly; empty: every name. */
  readonly models: ReadonlyArray<string>
  readonly targets: ReadonlyArray<RewriteTarget>
}

export interface RewriteTarget {
  readonly model: string
  /** Share of the requests, over the sum of the rule's weights; where all are 0 the targets share alike. */
  readonly weight: number
}

/** The rules of one object, of which the first that fits counts. */
export interface RewriteSet {
  readonly name: string
  /** When the object was made, in a form that sorts as time does. */
  readonly createdAt: string
  readonly rules: ReadonlyArray<RewriteRule>
}

/** Says what a name stands for; an empty view answers undefined to all. */
export interface ModelRewrites {
  /** The model to serve in its place, or undefined for the name itself. `random` is in [0, 1). */
  readonly targetOf: (name: string, random: number) => string | undefined
  /** Names that a rule is for, exactly. */
  readonly names: () => ReadonlyArray<string>
}

/**
 * The rules of all objects in their order of precedence: an exact name before a rule for every name, then the older
 * object, then the first rule in it (llm-d). Objects of the same age count in the order of their names.
 */
export const modelRewrites = (sets: Iterable<RewriteSet>): ModelRewrites => {
  const exact = new Map<string, RewriteRule>()
  let general: RewriteRule | undefined
  for (const { rules } of [...sets].sort(byAge)) {
    for (const rule of rules) {
      if (rule.models.length === 0) general ??= rule
      for (const model of rule.models) if (!exact.has(model)) exact.set(model, rule)
    }
  }
  const names = [...exact.keys()]
  return {
    targetOf: (name, random) => {
      const rule = exact.get(name) ?? general
      return rule === undefined ? undefined : chosen(rule.targets, random)
    },
    names: () => names
  }
}

const byAge = (one: RewriteSet, other: RewriteSet): number => {
  const [a, b] = one.createdAt === other.createdAt ? [one.name, other.name] : [one.createdAt, other.createdAt]
  return a < b ? -1 : a > b ? 1 : 0
}

const chosen = (targets: ReadonlyArray<RewriteTarget>, random: number): string | undefined => {
  const total = targets.reduce((sum, { weight }) => sum + weight, 0)
  if (total === 0) return targets[Math.min(targets.length - 1, Math.floor(random * targets.length))]?.model
  let left = random * total
  for (const { model, weight } of targets) {
    left -= weight
    if (left < 0) return model
  }
  // Rounding may leave a crumb at the very end.
  return targets.findLast(({ weight }) => weight > 0)?.model
}
