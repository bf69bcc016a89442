const BAR_CHARS = 30
/** Away from a terminal, a line each time so much more is done. */
const LINE_EACH_SHARE = 0.25

/** Shows how far a long command is, on stderr: a bar written over and over on a terminal, a few lines elsewhere. */
export interface ProgressBar {
  readonly show: (share: number, what: string) => void
  /** Clears the bar. */
  readonly end: () => void
}

export const progressBar = (title: string): ProgressBar => {
  const { stderr } = process
  let lastShown = -LINE_EACH_SHARE
  return {
    show: (share, what) => {
      const percent = `${Math.floor(share * 100)} %`
      if (stderr.isTTY) {
        const filled = Math.round(share * BAR_CHARS)
        const bar = `${"#".repeat(filled)}${"-".repeat(BAR_CHARS - filled)}`
        stderr.write(`\r${title} [${bar}] ${percent.padStart(5)}  ${what}\u001b[K`)
      } else if (share - lastShown >= LINE_EACH_SHARE) {
        lastShown = share
        stderr.write(`${title}: ${percent}, ${what}\n`)
      }
    },
    end: () => {
      if (stderr.isTTY) stderr.write("\r\u001b[K")
    }
  }
}
