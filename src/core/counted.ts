/** `1 pod`, `2 pods`: for nouns whose plural ends in s. */
export const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`

/** `30 s`, `0.25 s`, whatever the time was counted in. */
export const secondsText = (ms: number): string => `${Number((ms / 1000).toFixed(3))} s`
