import type { SeededRandom } from "../SeededRandom.ts"

/** Draws 0..count-1, where rank k comes up in proportion to 1 / (k + 1)^exponent. */
export const zipfOf = (count: number, exponent: number): (random: SeededRandom) => number => {
  const cumulative = new Float64Array(count)
  let total = 0
  for (let rank = 0; rank < count; rank++) {
    total += (rank + 1) ** -exponent
    cumulative[rank] = total
  }
  return (random) => {
    const drawn = random.uniform() * total
    let least = 0
    let most = count - 1
    while (least < most) {
      const middle = (least + most) >>> 1
      if (cumulative[middle]! > drawn) most = middle
      else least = middle + 1
    }
    return least
  }
}
