import type { PolicyReasons } from "../core/Explanation.ts"

/** Reasons of a policy that works out no number for a pod. */
export const onlyOrder = (row: number, why: string): PolicyReasons => ({ row, why, columns: [], values: new Map() })
