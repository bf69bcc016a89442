/** Whether arrays and objects nest deeper than `levels`. It looks at each value once and goes no deeper than that. */
export const nestsDeeper = (value: unknown, levels: number): boolean => {
  if (typeof value !== "object" || value === null) return false
  if (levels === 0) return true
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      if (typeof value[i] === "object" && nestsDeeper(value[i], levels - 1)) return true
    }
    return false
  }
  const members = value as Readonly<Record<string, unknown>>
  for (const name in members) {
    if (typeof members[name] === "object" && nestsDeeper(members[name], levels - 1)) return true
  }
  return false
}
