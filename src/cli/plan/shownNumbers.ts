/** Three digits are more than a simulation knows. */
const DIGITS = 3

const threeDigits = (value: number): string => {
  const rounded = Number(value.toPrecision(DIGITS))
  return rounded >= 10 ** DIGITS ? Math.round(value).toLocaleString("en-US") : `${rounded}`
}

/** `2 s`, `50 ms`, `1,234 s`. */
export const shownSeconds = (seconds: number): string =>
  seconds > 0 && seconds < 1 ? `${threeDigits(seconds * 1000)} ms` : `${threeDigits(seconds)} s`

/** `1,234`, without digits behind the point. */
export const shownCount = (count: number): string => Math.round(count).toLocaleString("en-US")

/** `97.5 %`; never rounded up to a share that was not reached. */
export const shownShare = (share: number): string => `${(Math.floor(share * 1000 + 1e-9) / 10).toFixed(1)} %`

/** `1 pod`, `2 pods`. */
export const counted = (count: number, noun: string): string => `${shownCount(count)} ${noun}${count === 1 ? "" : "s"}`
