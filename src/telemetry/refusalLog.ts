import { SeldomLog } from "./SeldomLog.ts"

/** What of an error is written. */
interface Refusal {
  readonly code: string
  readonly status: number
  readonly message: string
}

/** A line of the log. Neither call blocks or throws. */
export interface RefusalLogOptions {
  readonly info: (line: string) => void
  readonly warn: (line: string) => void
}

const wordsCharsMax = 300

/** What a text of ours says may hold a name that a client chose, and with a line break in it that would forge a line. */
const oneLine = (text: string): string => text.slice(0, wordsCharsMax).replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, " ")

/** 429 and what is wrong on our side of the door; everything else is the client's own doing. */
const isOurs = (status: number): boolean => status === 429 || status >= 500

/**
 * One line a window for each code of an error that clients are told. What is a client's own doing is information and
 * without the error's text, since that may repeat what the client wrote.
 */
export const makeRefusalLog = ({ info, warn }: RefusalLogOptions) => {
  const isOursByCode = new Map<string, boolean>()
  const log = new SeldomLog<string>({
    write: (code, text, more) => {
      const counted = more === 0 ? text : `${text} (${more} more since the last such line)`
      if (isOursByCode.get(code) === true) warn(counted)
      else info(counted)
    }
  })
  return {
    refused: ({ code, message, status }: Refusal): void => {
      const ours = isOurs(status)
      isOursByCode.set(code, ours)
      log.line(code, () => `clients are told ${status} ${code}${ours ? `: ${oneLine(message)}` : ""}`)
    },
    tick: (): void => log.tick()
  }
}
